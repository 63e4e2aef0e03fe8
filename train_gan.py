"""Trains a generator with the perceptual loss of SRGAN, from a pretrained generator.

    python train_gan.py --dataset ./DIV2K_BIN --generator sr-resnet --label-noise 0.0 \\
        --pretrained-model ./output/20261123-120000/models/epoch-300-psnr-29.1234.keras

Each run makes a time-stamped folder below --outdir, with models/generator-epoch-NNN.keras for evaluate.py and demo.py.
"""

import sys
from functools import partial

from choices import CONTENT_LOSSES, GENERATORS
from command_line import (
    RESUME_OPTIONS,
    VALIDATION_ADVICE,
    add_device_options,
    add_distribution_options,
    add_keeping_options,
    add_log_options,
    add_precision_option,
    add_run_options,
    add_training_data_options,
    add_vgg_weights,
    auto_resume,
    check_distribution,
    check_scale,
    evaluation_options,
    fixed_options,
    model_file,
    number,
    prepare_backend,
    print_end,
    print_start,
    process_group,
    resume_args,
    resume_command,
    run,
    run_lines,
    say_done,
    script_parser,
    typed_options,
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
    saving = p.add_argument_group("saving")
    add_log_options(saving)
    add_keeping_options(saving)
    add_device_options(p)
    add_distribution_options(p.add_argument_group("several devices"))
    return p


def parse_args(argv=None):
    """Parses the command line."""
    p = parser()
    typed = typed_options(p, argv)
    if "auto_resume" in typed:
        typed = auto_resume(p, typed, RESUMABLE)
    if "resume" in typed:
        args = resume_args(p, typed, RESUMABLE)
        check_distribution(p, args)
        return args
    if "accept_changes" in typed:
        p.error("--accept-changes belongs to --resume")
    args = p.parse_args(argv)
    args.auto_resume = False  # there is no run yet, and those to come resume this one whether it says so or not
    check_distribution(p, args)
    check_scale(p, args.generator, args.scale)
    if args.hr_patch_size % args.scale or args.hr_patch_size % DISCRIMINATOR_STRIDE:
        p.error(f"--hr-patch-size {args.hr_patch_size} is not allowed: give a multiple of {DISCRIMINATOR_STRIDE} and "
                f"of the scale {args.scale}, such as 96")
    return args


def main(args):
    """Trains a generator against a discriminator and returns the exit code."""
    from training.distribution import find_devices
    from training.processes import join

    prepare_backend(args.gpu_memory_fraction, partial(join, process_group(args)), args.tf32, trains=True)
    import keras

    from data import array_list, find_training_pairs
    from datasets.degraded import find_downgrade
    from training.gan import GANTraining
    from training.interrupts import Interrupts
    from training.logs import open_log
    from training.workspace import RunDone

    devices = find_devices(args.distribute)
    devices.check_batch(args.batch_size)
    devices.check_supported(adversarial=True)
    keras.utils.set_random_seed(args.seed)
    downgrade = find_downgrade(args.downgrade, args.downgrade_strength, args.downgrade_order, args.seed)
    train_pairs, valid_pairs = find_training_pairs(args.dataset, args.scale, downgrade, args.training_images,
                                                   args.validation_images, args.validation_dataset,
                                                   advice=VALIDATION_ADVICE)
    inputs = {"train": array_list(train_pairs), "valid": array_list(valid_pairs),
              "options": fixed_options(parser(), args, RESUMABLE)}
    devices.check_same(inputs)
    sequence = _sequence(args, train_pairs, devices.part)
    inference_model, *steps, learning_rates = _build(args, devices)
    validate = _validation(args, steps[0], valid_pairs)
    try:
        workspace, progress = (_resume if args.resume else _begin)(args, *steps, inputs, devices)
    except RunDone as done:
        devices.end_together()
        return say_done(done, args.auto_resume)
    run = GANTraining(
        *steps, inference_model, sequence, validate, learning_rates, label_noise=args.label_noise, seed=args.seed,
        workspace=workspace, progress=progress,
        log=open_log(workspace.logs_dir, valid_pairs, args.scale, progress.epoch + 1, devices),
        interrupts=Interrupts(), devices=devices,
        epochs=args.epochs, iterations_per_epoch=args.iterations_per_epoch, log_steps=args.log_steps,
        log_interval=args.log_interval, keeping={"every": args.save_every, "keep_last": args.keep_last},
        loss_advice="a lower --generator-learning-rate or --discriminator-learning-rate may help",
        won_advice="try a lower --discriminator-learning-rate or more --label-noise")
    print_start(run, workspace.logs_dir)
    code = run.to_the_end(resume_command("train_gan", args))
    if code == 0:
        print_end(run, evaluation_options(parser(), args))
    return code


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
    return inference_model, *compile_gan(generator, judge, features, learning_rates, args.ema, devices), learning_rates


def _features(args, name):
    """Returns VGG19 features with the weights of `--vgg-weights`."""
    from weights.vgg import load_features

    return load_features(name, args.vgg_weights, advice="give its path with --vgg-weights")


def _begin(args, generator_step, discriminator_step, inputs, devices):
    """Gives the generator its first weights and makes the run's folder; returns `Workspace` and `Progress`."""
    from super_resolution.loading import model_path
    from training.networks import copy_pretrained
    from training.workspace import Progress, Workspace

    generator = generator_step.generator
    if args.print_model_summary:
        generator.summary()
        discriminator_step.discriminator.summary()
    if args.pretrained_model:
        copy_pretrained(model_path(args.pretrained_model, None), generator)
    workspace = Workspace.create_once(args.outdir, run_lines(parser(), args), devices)
    print(f"{workspace.folder}: {generator.name} x{args.scale}, {generator.count_params():,} parameters")
    return workspace, Progress(inputs=inputs)


def _resume(args, generator_step, discriminator_step, inputs, devices):
    """Restores the state of the run in `--resume`; returns `Workspace` and `Progress`."""
    from training.gan import gan_variables
    from training.workspace import open_run

    return open_run(args.resume, gan_variables(generator_step, discriminator_step), args.epochs,
                    advice="give more with --epochs", inputs=inputs, accept_changes=args.accept_changes,
                    changes_advice="undo that, or go on all the same with --accept-changes", devices=devices)


def _sequence(args, pairs, part):
    """Returns the `PatchSequence` of the training images; those that were typed must be as large as a patch."""
    from data import PatchSequence, patch_stream

    advice = "leave them out of --training-images or choose a smaller --hr-patch-size" if args.training_images else None
    stream = patch_stream(pairs, args.scale, "train", batch_size=args.batch_size,
                          patch_size=args.hr_patch_size // args.scale, seed=args.seed,
                          augment=not args.no_augmentation, advice=advice, part=part)
    return PatchSequence(stream, None, args.num_workers, args.use_multiprocessing, args.max_queue_size)


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
