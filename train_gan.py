"""Trains a generator with the perceptual loss of SRGAN, from a pretrained generator.

    python train_gan.py --dataset ./DIV2K_BIN --generator sr-resnet --label-noise 0.0 \\
        --pretrained-model ./output/20261123-120000/models/epoch-300-psnr-29.1234.keras

Each run makes a time-stamped folder below --outdir, with models/generator-epoch-NNN.keras for evaluate.py and demo.py.
"""

import sys

from choices import CONTENT_LOSSES, GENERATORS
from command_line import (
    RESUME_OPTIONS,
    add_device_options,
    add_distribution_options,
    add_jit_option,
    add_keeping_options,
    add_log_options,
    add_precision_option,
    add_run_options,
    add_training_data_options,
    add_vgg_weights,
    check_scale,
    model_file,
    number,
    run,
    say_done,
    script_parser,
)
from command_line.trainings import (
    find_inputs,
    make_workspace,
    open_workspace,
    parse_training,
    patch_sequence,
    prepare_training,
    run_settings,
    train_to_the_end,
)

RESUMABLE = (*RESUME_OPTIONS, "vgg_weights")
DISCRIMINATOR_STRIDE = 16  # of its convolutions together


def parser():
    """Returns the command line of this script."""
    p = script_parser(__doc__)
    add_run_options(p)

    data = p.add_argument_group("data")
    add_training_data_options(data, scale=4)
    data.add_argument("--hr-patch-size", type=number(int, 16), default=96, metavar="N",
                      help="size of the high-resolution patches: a multiple of the scale and of 16")

    networks = p.add_argument_group("networks")
    networks.add_argument("-g", "--generator", choices=GENERATORS, default="edsr-gen", help="the generator")
    networks.add_argument("--num-filters", type=number(int, 1), default=64, metavar="N", help="of the generator")
    networks.add_argument("--num-res-blocks", type=number(int, 1), default=16, metavar="N", help="of the generator")
    networks.add_argument("--discriminator-filters", type=number(int, 1), default=64, metavar="N",
                          help="filters of its first layer; the last have 8 times as many")
    networks.add_argument("--pretrained-model", type=model_file, metavar="FILE",
                          help="start with the weights of this generator, trained with a pixel-wise loss: a file, "
                               "or the name of a shipped one")
    networks.add_argument("--print-model-summary", action="store_true", help="print the layers")

    training = p.add_argument_group("training")
    training.add_argument("--epochs", type=number(int, 1), default=150, metavar="N", help="the last epoch's number")
    training.add_argument("--iterations-per-epoch", type=number(int, 1), default=1000, metavar="N", help="steps")
    training.add_argument("--batch-size", type=number(int, 1), default=16, metavar="N", help="patches in a batch")
    training.add_argument("--content-loss", choices=CONTENT_LOSSES, default="vgg54",
                          help="the VGG19 features in which images are compared")
    add_vgg_weights(training)
    for name in ("generator", "discriminator"):
        training.add_argument(f"--{name}-learning-rate", type=number(float, 0, exclusive=True), default=1e-4,
                              metavar="F", help="at the start")
    training.add_argument("--learning-rate-step-size", type=number(int, 1), default=100, metavar="N", help="epochs")
    training.add_argument("--learning-rate-decay", type=number(float, 0, 1, exclusive=True), default=0.1, metavar="F",
                          help="factor after every step size")
    training.add_argument("--label-noise", type=number(float, 0, 0.5), default=0.05, metavar="F",
                          help="labels are drawn from [1 - F, 1] for real images, from [0, F] for fakes")
    training.add_argument("--ema", type=number(float, 0, 1), metavar="F",
                          help="validate and save a moving average of the generator's weights, with this momentum "
                               "(such as 0.999)")
    add_precision_option(training)
    add_jit_option(training)
    saving = p.add_argument_group("saving")
    add_log_options(saving)
    add_keeping_options(saving)
    add_device_options(p)
    add_distribution_options(p.add_argument_group("several devices"))
    return p


def parse_args(argv=None):
    """Parses the command line."""
    p = parser()
    args = parse_training(p, argv, RESUMABLE)
    if args.resume:
        return args
    check_scale(p, args.generator, args.scale)
    if args.hr_patch_size % args.scale or args.hr_patch_size % DISCRIMINATOR_STRIDE:
        p.error(f"--hr-patch-size {args.hr_patch_size} is not allowed: give a multiple of {DISCRIMINATOR_STRIDE} and "
                f"of the scale {args.scale}, such as 96")
    return args


def main(args):
    """Trains a generator against a discriminator and returns the exit code."""
    devices = prepare_training(args, adversarial=True)
    train_pairs, valid_pairs, inputs = find_inputs(args, parser(), RESUMABLE, devices)
    from training.gan import GANTraining
    from training.workspace import RunDone

    sequence = patch_sequence(args, "train", train_pairs, devices.part, patch_size=args.hr_patch_size // args.scale,
                              size_option="--hr-patch-size")
    inference_model, *steps, learning_rates = _build(args, devices)
    validate = _validation(args, steps[0], valid_pairs)
    try:
        workspace, progress = (_resume if args.resume else _begin)(args, *steps, inputs, devices)
    except RunDone as done:
        devices.end_together()
        return say_done(done, args.auto_resume)
    training = GANTraining(
        *steps, inference_model, sequence, validate, learning_rates, label_noise=args.label_noise, seed=args.seed,
        loss_advice="a lower --generator-learning-rate or --discriminator-learning-rate may help",
        won_advice="try a lower --discriminator-learning-rate or more --label-noise",
        **run_settings(args, workspace, progress, devices, valid_pairs))
    return train_to_the_end(training, args, parser(), "train_gan")


def _build(args, devices):
    """Returns the generator for inference, the compiled steps of generator and discriminator, their learning rates."""
    from training.gan import build_gan, compile_gan
    from training.networks import computing_in, learning_rate_schedule

    learning_rates = {
        name: learning_rate_schedule("step", learning_rate, decay=args.learning_rate_decay,
                                     decay_steps=args.learning_rate_step_size * args.iterations_per_epoch)
        for name, learning_rate in (("generator", args.generator_learning_rate),
                                    ("discriminator", args.discriminator_learning_rate))}
    inference_model, generator, judge = build_gan(
        args.generator, args.scale, num_filters=args.num_filters, num_res_blocks=args.num_res_blocks,
        hr_patch_size=args.hr_patch_size, discriminator_filters=args.discriminator_filters, precision=args.precision,
        devices=devices)
    with computing_in(args.precision), devices.scope():
        features = _features(args, args.content_loss)
    steps = compile_gan(generator, judge, features, learning_rates, args.ema, args.jit_compile, devices)
    return inference_model, *steps, learning_rates


def _features(args, name):
    """Returns VGG19 features with the weights of `--vgg-weights`."""
    from weights.vgg import load_features

    return load_features(name, args.vgg_weights, advice="give its path with --vgg-weights")


def _begin(args, generator_step, discriminator_step, inputs, devices):
    """Gives the generator its first weights and makes the run's folder; returns `Workspace` and `Progress`."""
    from super_resolution.loading import model_path
    from training.networks import copy_pretrained
    from training.workspace import Progress

    generator = generator_step.generator
    if args.print_model_summary:
        generator.summary()
        discriminator_step.discriminator.summary()
    if args.pretrained_model:
        copy_pretrained(model_path(args.pretrained_model, None), generator)
    return make_workspace(args, parser(), generator, devices), Progress(inputs=inputs)


def _resume(args, generator_step, discriminator_step, inputs, devices):
    """Restores the state of the run in `--resume`; returns `Workspace` and `Progress`."""
    from training.gan import gan_variables

    return open_workspace(args, gan_variables(generator_step, discriminator_step), inputs, devices)


def _validation(args, generator_step, pairs):
    """Returns the `PerceptualValidation`, in float32 and in VGG54 features whatever the training uses.

    Its network is on one device, where the training's may be on many.
    """
    from training.perceptual import PerceptualValidation

    features = generator_step.features
    if args.content_loss != "vgg54" or args.precision != "float32" or args.distribute:
        features = _features(args, "vgg54")
    return PerceptualValidation(features, pairs, args.scale)


def command():
    """Does what the command line says and returns the exit code; it is `sr-train-gan` where the suite is installed."""
    return run(main, parse_args())


if __name__ == "__main__":
    sys.exit(command())
