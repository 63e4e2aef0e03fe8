"""The networks of a training: built, compiled, and given their first weights."""

import contextlib

import keras
import numpy as np
from keras.optimizers import schedules

import weights
from errors import UserError
from model import build_network, pixel_loss, psnr
from model.common import multiply_pointwise
from optimizer import AdamWithWeightnorm, WarmUp, data_based_initialization
from training.distribution import Devices

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}

OPTIMIZERS = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW, "lamb": keras.optimizers.Lamb}


@contextlib.contextmanager
def computing_in(precision):
    """Networks built within the block compute in `precision`, a key of `POLICIES`; their weights are float32."""
    keras.config.set_dtype_policy(POLICIES[precision])
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")


def build_models(name, scale, *, precision="float32", padding="symmetric", devices=None, **hyper_parameters):
    """Returns the float32 network for inference, and the network for training.

    Args:
        name: key of `model.NETWORKS`.
        scale: 2, 3, 4 or 8.
        precision: in which the training computes, a key of `POLICIES`.
        padding: of the network for inference. Where it mirrors the borders ('symmetric'), the network for training
            has none and its loss leaves the margin out.
        devices: `Devices` on which the network is trained; by default one.
        hyper_parameters: of `model.build_network`.
    """
    devices = devices or Devices()
    inference_model = build_network(name, scale, padding=padding, **hyper_parameters)
    with computing_in(precision), devices.scope():
        network = build_network(name, scale, padding="valid" if padding == "symmetric" else padding,
                                **hyper_parameters)
    multiply_pointwise(network)
    devices.prepare(network)
    return inference_model, network


def compile_model(network, schedule, *, loss="mae", optimizer="adam", weightnorm=False, ema=None,
                  gradient_accumulation=1, steps_per_execution=1, steps_done=0, clipnorm=None, global_clipnorm=None,
                  clipvalue=None, jit_compile="auto", devices=None):
    """Compiles `network` with an optimizer, a pixel-wise loss and PSNR, and makes all variables of its training.

    Args:
        network: for training, of `build_models`.
        schedule: learning rate as a function of the step.
        loss: key of `model.LOSSES`.
        optimizer: key of `OPTIMIZERS`.
        weightnorm: Adam with weight normalization.
        ema: momentum of the moving average of the weights, None for no average.
        gradient_accumulation: batches whose mean gradient makes one update. Steps, the schedule and the moving
            average go on counting batches, as Keras does.
        steps_per_execution: steps that the backend does in one go; on PyTorch, and on several devices, one.
        steps_done: steps of an earlier training, from which the schedule goes on.
        jit_compile: 'auto', 'yes' or 'no', see `chosen_jit`.
        clipnorm, global_clipnorm, clipvalue: as of `keras.optimizers.Adam`, on the mean gradient.
        devices: `Devices` on which the network was built; by default one.

    Raises:
        UserError: weight normalization with another optimizer than Adam, or several steps in one go where one alone
            is allowed.
    """
    if steps_per_execution > 1 and keras.backend.backend() == "torch":
        raise UserError(f"{steps_per_execution} steps to an execution are not allowed on PyTorch, which does one: "
                        "choose 1, or the backend tensorflow or jax")
    if steps_per_execution > 1 and devices is not None and devices.num_devices > 1:
        raise UserError(f"{steps_per_execution} steps to an execution are not allowed on several devices: choose 1")
    if weightnorm and optimizer != "adam":
        raise UserError(f"optimizer {optimizer} has no weight normalization: choose adam")
    average = {} if ema is None else {"use_ema": True, "ema_momentum": ema}
    accumulation = gradient_accumulation if gradient_accumulation > 1 else None
    with (devices or Devices()).scope():
        made = (AdamWithWeightnorm if weightnorm else OPTIMIZERS[optimizer])(
            schedule, clipnorm=clipnorm, clipvalue=clipvalue, global_clipnorm=global_clipnorm,
            gradient_accumulation_steps=accumulation, name=optimizer, **average)
        # fit ends after every epoch here, and would put the average in place of the weights.
        made.finalize_variable_values = lambda variables: None
        network.compile(made, loss=pixel_loss(loss),
                        metrics=[keras.metrics.MeanMetricWrapper(psnr, name="psnr")],
                        jit_compile=chosen_jit(jit_compile), steps_per_execution=steps_per_execution)
        _build_variables(network)
    (step,) = (variable for variable in made.variables if variable.name == "iteration")
    step.assign(steps_done)  # `iterations` is no variable but the number of updates where gradients accumulate


def learning_rate_schedule(name, learning_rate, *, num_steps=None, decay_steps=None, decay=None, warmup_steps=0):
    """Returns a Keras schedule, a function of the step.

    Args:
        name: 'step' (times `decay` after every `decay_steps`) or 'cosine' (down to 0 at `num_steps`).
        learning_rate: at the start.
        num_steps: of the whole training; of 'cosine'.
        decay_steps, decay: of 'step'.
        warmup_steps: steps over which the learning rate rises from 0.
    """
    if name == "cosine":
        schedule = schedules.CosineDecay(learning_rate, num_steps)
    else:
        schedule = schedules.ExponentialDecay(learning_rate, decay_steps, decay, staircase=True)
    return WarmUp(schedule, warmup_steps) if warmup_steps else schedule


def copy_pretrained(path, network):
    """Copies the weights of the model `path` to `network`, layer by layer, and says what could not be copied."""
    copied, skipped, blocks = weights.copy(weights.load(path), network)
    print(f"{path}: copied the weights of {len(copied)} layers"
          + (f"; its {blocks[0]} blocks stand for {blocks[1]}, each once or several times in a row" if blocks else "")
          + (f"; not copied: {', '.join(skipped)}" if skipped else ""))


def initialize(network, inference_model, lr_batches):
    """Initializes the weights of `network` from training batches; `inference_model` computes them in float32."""
    inference_model.set_weights(network.get_weights())
    names = data_based_initialization(inference_model, lr_batches)
    network.set_weights(inference_model.get_weights())
    print(f"initialized {len(names)} layers from {len(lr_batches)} batches")


@contextlib.contextmanager
def averaged_weights(network):
    """Puts the moving average of the weights in place of the weights, where the optimizer keeps one.

    Not by Keras' `SwapEMAWeights`: on TensorFlow it swaps by adding and subtracting, and the weights come back rounded.
    """
    optimizer = getattr(network.optimizer, "inner_optimizer", network.optimizer)
    if not optimizer.use_ema:
        yield
        return
    variables = network.trainable_variables
    trained = [keras.ops.convert_to_numpy(variable) for variable in variables]
    type(optimizer).finalize_variable_values(optimizer, variables)  # the class's own, which fit must not call
    for variable in variables:  # a copy: JAX must not hold one array in two variables
        variable.assign(keras.ops.convert_to_numpy(variable))
    try:
        yield
    finally:
        for variable, value in zip(variables, trained, strict=True):
            variable.assign(value)


def chosen_jit(choice):
    """Returns what Keras takes as `jit_compile`.

    Args:
        choice: 'yes': steps are compiled by XLA, on PyTorch by `torch.compile`; 'no': they are not; 'auto': Keras
            chooses, except on a CPU, where XLA is slower than TensorFlow's own kernels.
    """
    if keras.backend.backend() != "tensorflow":
        return {"auto": "auto", "yes": True, "no": False}[choice]
    import tensorflow as tf

    if tf.distribute.has_strategy():  # not tried together with XLA
        return False
    if choice == "auto":
        return "auto" if tf.config.list_physical_devices("GPU") else False
    return choice == "yes"


def _build_variables(network):
    """Makes the variables of optimizer and metrics, which a compiled network else gets in its first step."""
    network.optimizer.build(network.trainable_variables)
    image = np.zeros((1, 8, 8, 3), "float32")
    network.compute_loss(y=image, y_pred=image)
    network.compute_metrics(None, image, image)
    network.reset_metrics()
