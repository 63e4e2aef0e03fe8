"""From the options of a training to a compiled network."""

import keras
from keras.optimizers import schedules

from model import build_network, pixel_loss, psnr
from optimizer import AdamWithWeightnorm, WarmUp
from training.workspace import build_variables

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


def build_models(args):
    """Returns the float32 network for inference and the network for training, of the precision of `args`."""
    inference = _build(args, args.padding)
    keras.config.set_dtype_policy(POLICIES[args.precision])
    network = _build(args, "valid" if args.padding == "symmetric" else args.padding)
    keras.config.set_dtype_policy("float32")
    return inference, network


def compile_model(network, args, schedule):
    """Compiles `network` with the optimizer and loss of `args`."""
    average = {} if args.ema is None else {"use_ema": True, "ema_momentum": args.ema}
    adam = (AdamWithWeightnorm if args.weightnorm else keras.optimizers.Adam)(
        schedule, clipnorm=args.clipnorm, clipvalue=args.clipvalue,
        global_clipnorm=args.global_clipnorm, name="adam", **average)
    # fit ends after every epoch here, and would put the average in place of the weights.
    adam.finalize_variable_values = lambda variables: None
    network.compile(adam, loss=pixel_loss(args.loss),
                    metrics=[keras.metrics.MeanMetricWrapper(psnr, name="psnr")], jit_compile=jit_compile())
    build_variables(network)


def learning_rate_schedule(args):
    """Returns the Keras schedule of `args`, a function of the step."""
    if args.learning_rate_schedule == "cosine":
        schedule = schedules.CosineDecay(args.learning_rate, args.epochs * args.iterations_per_epoch)
    else:
        schedule = schedules.ExponentialDecay(
            args.learning_rate, args.learning_rate_step_size * args.iterations_per_epoch, args.learning_rate_decay,
            staircase=True)
    return WarmUp(schedule, args.warmup_steps) if args.warmup_steps else schedule


def _build(args, padding):
    return build_network(args.model, args.scale, num_filters=args.num_filters, num_res_blocks=args.num_res_blocks,
                         res_block_expansion=args.res_expansion, res_block_scaling=args.res_scaling, padding=padding)


def jit_compile():
    """XLA is slower than TensorFlow's own kernels on a CPU; elsewhere Keras chooses."""
    if keras.backend.backend() != "tensorflow":
        return "auto"
    import tensorflow as tf

    return "auto" if tf.config.list_physical_devices("GPU") else False
