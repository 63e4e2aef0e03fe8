"""Trains WDSR, EDSR, SRResNet or SPAN with a pixel-wise loss.

    python train.py --dataset ./DIV2K_BIN --outdir ./output --profile wdsr-a-8 --scale 2

A profile sets defaults; an option that is typed wins. Each run makes a time-stamped folder below --outdir.
"""

import argparse
import sys

from choices import DATA_ON_DEVICE, LOSSES, OPTIMIZERS, SCHEDULES, WDSR_PADDINGS
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

# EDSR paper, section 4.2, and WDSR paper, section 4; SRResNet: SRGAN paper, section 3.2; SPAN paper, section 4.1.
WDSR_A = {"model": "wdsr-a", "num_filters": 32, "res_expansion": 4, "weightnorm": True, "learning_rate": 1e-3,
          "loss": "mae"}
WDSR_B = {**WDSR_A, "model": "wdsr-b", "res_expansion": 6}
EDSR = {"model": "edsr", "num_filters": 64, "weightnorm": False, "learning_rate": 1e-4, "loss": "mae"}

PROFILES = {
    "wdsr-a-8": {**WDSR_A, "num_res_blocks": 8},
    "wdsr-a-16": {**WDSR_A, "num_res_blocks": 16},
    "wdsr-a-32": {**WDSR_A, "num_res_blocks": 32},
    "wdsr-b-8": {**WDSR_B, "num_res_blocks": 8},
    "wdsr-b-16": {**WDSR_B, "num_res_blocks": 16},
    "wdsr-b-32": {**WDSR_B, "num_res_blocks": 32},
    "edsr-8": {**EDSR, "num_res_blocks": 8},
    "edsr-16": {**EDSR, "num_res_blocks": 16},
    "edsr": {**EDSR, "num_filters": 256, "num_res_blocks": 32, "res_scaling": 0.1},
    "edsr-gen": {**EDSR, "model": "edsr-gen", "num_res_blocks": 8, "loss": "mse"},
    "sr-resnet": {**EDSR, "model": "sr-resnet", "num_res_blocks": 16, "loss": "mse", "scale": 4},
    # 28 filters as in the challenges on efficient super-resolution, whose baseline it is; the paper has 48.
    "span-28": {**EDSR, "model": "span", "num_filters": 28, "num_res_blocks": 6, "learning_rate": 5e-4},
}

RESUMABLE = (*RESUME_OPTIONS, "save_best_models_only", "save_models_after_epoch", "early_stopping",
             "data_on_device")
MODELS = tuple(dict.fromkeys(profile["model"] for profile in PROFILES.values()))


def parser():
    """Returns the command line of this script, without the defaults of a profile."""
    p = script_parser(__doc__)
    p.add_argument("-p", "--profile", choices=PROFILES, help="sets the defaults of the options below")
    add_run_options(p)

    data = p.add_argument_group("data")
    add_training_data_options(data, scale=2)
    data.add_argument("--no-validation", action="store_true", help="train without validation images")
    data.add_argument("--patch-size", type=number(int, 8), default=48, metavar="N",
                      help="size of the low-resolution patches")
    data.add_argument("--data-on-device", choices=DATA_ON_DEVICE, default="auto",
                      help="keep the training images on the GPU, as uint8, and cut the same patches there; auto: where "
                           "there is a GPU with room for them")

    network = p.add_argument_group("network")
    network.add_argument("-m", "--model", choices=MODELS, default="wdsr-b", help="the network")
    network.add_argument("--num-filters", type=number(int, 1), default=32, metavar="N", help="filters of a layer")
    network.add_argument("--num-res-blocks", type=number(int, 1), default=8, metavar="N", help="residual blocks")
    network.add_argument("--res-expansion", type=number(int, 1), default=4, metavar="N",
                         help="WDSR: factor of the wide activation")
    network.add_argument("--res-scaling", type=number(float, 0, exclusive=True), metavar="F",
                         help="factor on the residual branches")
    network.add_argument("--padding", choices=WDSR_PADDINGS, default="symmetric",
                         help="WDSR: mirror the borders (as the original suite) or fill them with zeros")
    network.add_argument("--pretrained-model", type=model_file, metavar="FILE",
                         help="start with the weights of this model, of any scale: a file, or the name of a shipped "
                              "one")
    network.add_argument("--print-model-summary", action="store_true", help="print the layers")
    _add_training_options(p.add_argument_group("training"))
    _add_saving_options(p.add_argument_group("saving"))
    add_device_options(p)
    add_distribution_options(p.add_argument_group("several devices"))
    return p


def _add_training_options(group):
    group.add_argument("--epochs", type=number(int, 1), default=300, metavar="N", help="the last epoch's number")
    group.add_argument("--initial-epoch", type=number(int, 0), default=0, metavar="N",
                       help="epochs that were done before: the learning rate goes on from there")
    group.add_argument("--iterations-per-epoch", type=number(int, 1), default=1000, metavar="N", help="steps")
    group.add_argument("--validation-steps", type=number(int, 1), default=100, metavar="N",
                       help="batches of validation patches")
    group.add_argument("--batch-size", type=number(int, 1), default=16, metavar="N", help="patches in a batch")
    group.add_argument("--gradient-accumulation", type=number(int, 1), default=1, metavar="N",
                       help="batches to an update of the weights: the effective batch is N times as large; steps, "
                            "learning rate and --ema count batches as before")
    group.add_argument("--steps-per-execution", type=number(int, 1), default=1, metavar="N",
                       help="steps that TensorFlow or JAX does in one go, which spares a GPU some waiting: figures and "
                            "results are the same; a signal waits for them, fewer are done where they take too long")
    group.add_argument("--loss", choices=LOSSES, default="mae", help="pixel-wise loss")
    group.add_argument("--learning-rate", type=number(float, 0, exclusive=True), default=1e-3, metavar="F",
                       help="at the start")
    group.add_argument("--learning-rate-schedule", choices=SCHEDULES, default="step",
                       help="step: times the decay after every step size; cosine: down to 0 at the last epoch")
    group.add_argument("--learning-rate-step-size", type=number(int, 1), default=200, metavar="N", help="epochs")
    group.add_argument("--learning-rate-decay", type=number(float, 0, 1, exclusive=True), default=0.5, metavar="F",
                       help="factor")
    group.add_argument("--warmup-steps", type=number(int, 0), default=0, metavar="N",
                       help="steps over which the learning rate rises from 0")
    group.add_argument("--clipnorm", type=number(float, 0, exclusive=True), metavar="F",
                       help="largest norm of a variable's gradient")
    group.add_argument("--global-clipnorm", type=number(float, 0, exclusive=True), metavar="F",
                       help="largest norm of the whole gradient")
    group.add_argument("--clipvalue", type=number(float, 0, exclusive=True), metavar="F",
                       help="largest value of a gradient's element")
    group.add_argument("--ema", type=number(float, 0, 1), metavar="F",
                       help="validate and save a moving average of the weights, with this momentum (such as 0.999)")
    group.add_argument("--early-stopping", type=number(int, 1), metavar="N",
                       help="end after N epochs without a better validation PSNR")
    group.add_argument("--optimizer", choices=OPTIMIZERS, default="adam", help="Keras' own")
    group.add_argument("--weightnorm", action=argparse.BooleanOptionalAction, default=False,
                       help="Adam with weight normalization")
    group.add_argument("--num-init-batches", type=number(int, 0), default=0, metavar="N",
                       help="batches for the data-based initialization of weight normalization")
    add_precision_option(group)
    add_jit_option(group)


def _add_saving_options(group):
    add_log_options(group)
    add_keeping_options(group)
    group.add_argument("--save-best-models-only", action="store_true", help="save a model only if it is the best")
    group.add_argument("--save-models-after-epoch", type=number(int, 0), default=0, metavar="N",
                       help="save no models up to this epoch")
    group.add_argument("--benchmark", action="store_true",
                       help="validate on full-size images and save the best models only")


def parse_args(argv=None):
    """Parses the command line; a profile sets defaults, so that what is typed wins."""
    p = parser()
    args = parse_training(p, argv, RESUMABLE, PROFILES)
    if args.resume:
        _check_validation(p, args)
        _check_steps(p, args)
        return args
    check_scale(p, args.model, args.scale)
    if args.model == "wdsr-b" and args.num_filters < 2:
        p.error(f"--num-filters {args.num_filters} is not allowed for wdsr-b, which has 0.8 times as many inside its "
                "blocks: give at least 2")
    _check_validation(p, args)
    if args.weightnorm and args.optimizer != "adam":
        p.error(f"--optimizer {args.optimizer} has no weight normalization: add --no-weightnorm")
    if args.num_init_batches and not args.weightnorm:
        p.error("--num-init-batches belongs to weight normalization: add --weightnorm")
    if args.num_init_batches and args.pretrained_model:
        p.error("--num-init-batches would overwrite the weights of --pretrained-model: give only one of them")
    if _num_clips(args) > 1:
        p.error("--clipnorm, --global-clipnorm and --clipvalue exclude each other: give one of them")
    if args.iterations_per_epoch % args.gradient_accumulation:
        p.error(f"--gradient-accumulation {args.gradient_accumulation} is not allowed: give a divisor of "
                f"--iterations-per-epoch, which is {args.iterations_per_epoch}")
    _check_steps(p, args)
    if args.initial_epoch >= args.epochs:
        p.error(f"--initial-epoch {args.initial_epoch} leaves nothing to do: --epochs is {args.epochs}")
    return args


def _num_clips(args):
    return sum(clip is not None for clip in (args.clipnorm, args.global_clipnorm, args.clipvalue))


def _check_validation(p, args):
    """Ends the program where an option needs the validation that --no-validation leaves out."""
    needing = {"--benchmark": args.benchmark, "--save-best-models-only": args.save_best_models_only,
               "--early-stopping": args.early_stopping, "--validation-images": args.validation_images,
               "--validation-dataset": args.validation_dataset}
    for option, value in needing.items():
        if args.no_validation and value:
            p.error(f"--no-validation leaves nothing for {option}: give only one of them")
    if args.save_every > 1 and (args.save_best_models_only or args.benchmark):
        p.error("--save-every does not go with --save-best-models-only and --benchmark, which saves the best only")


def _check_steps(p, args):
    """Ends the program where steps that are done in one go would go beyond the end of an epoch or a row of figures."""
    for option, steps in (("--iterations-per-epoch", args.iterations_per_epoch), ("--log-steps", args.log_steps)):
        if steps % args.steps_per_execution:
            p.error(f"--steps-per-execution {args.steps_per_execution} is not allowed: give a divisor of {option}, "
                    f"which is {steps}")


def main(args):
    """Trains a network and returns the exit code."""
    devices = prepare_training(args, accumulating=args.gradient_accumulation > 1, clipping=_num_clips(args) > 0,
                               float16=args.precision == "float16", compiled=args.jit_compile == "yes")
    train_pairs, valid_pairs, inputs = find_inputs(args, parser(), RESUMABLE, devices, not args.no_validation,
                                                   ", or train without them, by --no-validation")
    from training.on_device import check_choice, on_device
    from training.pixelwise import PixelTraining
    from training.workspace import RunDone

    sequence, validate = _data(args, train_pairs, valid_pairs, devices.part)
    inference_model, network, schedule = build(args, devices)
    check_choice(sequence.stream, network, args.data_on_device)
    try:
        workspace, progress = (_resume(args, network, inputs, devices) if args.resume
                               else _begin(args, inference_model, network, sequence, inputs, devices))
    except RunDone as done:
        devices.end_together()
        return say_done(done, args.auto_resume)
    sequence = on_device(sequence, network, args.data_on_device)
    training = PixelTraining(
        network, inference_model, sequence, validate, schedule, early_stopping=args.early_stopping,
        loss_advice="a lower --learning-rate or --global-clipnorm may help",
        **run_settings(args, workspace, progress, devices, valid_pairs,
                       best_only=args.save_best_models_only or args.benchmark,
                       after_epoch=args.save_models_after_epoch))
    return train_to_the_end(training, args, parser(), "train")


def build(args, devices=None):
    """Returns the network for inference, the compiled network for training, and the schedule of its learning rate."""
    from training.networks import build_models, compile_model, learning_rate_schedule

    schedule = learning_rate_schedule(
        args.learning_rate_schedule, args.learning_rate, num_steps=args.epochs * args.iterations_per_epoch,
        decay_steps=args.learning_rate_step_size * args.iterations_per_epoch, decay=args.learning_rate_decay,
        warmup_steps=args.warmup_steps)
    inference_model, network = build_models(
        args.model, args.scale, precision=args.precision, padding=args.padding, devices=devices,
        num_filters=args.num_filters, num_res_blocks=args.num_res_blocks, res_block_expansion=args.res_expansion,
        res_block_scaling=args.res_scaling)
    compile_model(
        network, schedule, loss=args.loss, optimizer=args.optimizer, weightnorm=args.weightnorm,
        ema=args.ema, gradient_accumulation=args.gradient_accumulation,
        steps_per_execution=args.steps_per_execution,
        steps_done=args.initial_epoch * args.iterations_per_epoch, clipnorm=args.clipnorm,
        global_clipnorm=args.global_clipnorm, clipvalue=args.clipvalue, jit_compile=args.jit_compile, devices=devices)
    return inference_model, network, schedule


def _data(args, train_pairs, valid_pairs, part):
    """Returns the sequence of training patches, and the function that validates a `PixelTraining`."""
    from training.pixelwise import FullSizeValidation, PatchValidation

    sizes = {"patch_size": args.patch_size, "size_option": "--patch-size"}
    sequence = patch_sequence(args, "train", train_pairs, part, **sizes)
    if args.no_validation:
        return sequence, None
    if args.benchmark:
        return sequence, FullSizeValidation(valid_pairs)
    return sequence, PatchValidation(patch_sequence(args, "valid", valid_pairs, part, **sizes,
                                                    num_batches=args.validation_steps))


def _begin(args, inference_model, network, sequence, inputs, devices):
    """Gives the network its first weights and makes the run's folder; returns `Workspace` and `Progress`."""
    from super_resolution.loading import model_path
    from training.networks import copy_pretrained, initialize
    from training.workspace import Progress, load_optimizer_of

    if args.print_model_summary:
        network.summary()
    if args.pretrained_model:
        copy_pretrained(model_path(args.pretrained_model, None), network)
        if args.initial_epoch:
            cause = load_optimizer_of(model_path(args.pretrained_model, None), network)
            print(f"starts with a fresh optimizer: {cause}" if cause
                  else "goes on with the optimizer's state of its run")
    if args.num_init_batches:
        initialize(network, inference_model, [sequence.stream.whole_batch(i)[0] for i in range(args.num_init_batches)])
    workspace = make_workspace(args, parser(), network, devices)
    return workspace, Progress(epoch=args.initial_epoch, inputs=inputs)


def _resume(args, network, inputs, devices):
    """Restores the state of the run in `--resume`; returns `Workspace` and `Progress`."""
    from training.workspace import network_variables

    return open_workspace(args, network_variables(network), inputs, devices)


def command():
    """Does what the command line says and returns the exit code; it is `sr-train` where the suite is installed."""
    return run(main, parse_args())


if __name__ == "__main__":
    sys.exit(command())
