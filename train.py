"""Trains WDSR, EDSR or SRResNet with a pixel-wise loss.

    python train.py --dataset ./DIV2K_BIN --outdir ./output --profile wdsr-a-8 --scale 2

A profile sets defaults; an option that is typed wins. Each run makes a time-stamped folder below --outdir.
"""

import argparse
import sys
from pathlib import Path

from options import (
    MODELS,
    SCALES,
    UserError,
    add_dataset_options,
    add_device_options,
    id_range,
    number,
    run,
    script_parser,
    typed_options,
)

# EDSR paper, section 4.2, and WDSR paper, section 4; SRResNet: SRGAN paper, section 3.2.
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
}

RESUME_OPTIONS = ("resume", "epochs", "num_workers", "use_multiprocessing", "max_queue_size", "gpu_memory_fraction",
                  "save_best_models_only", "save_models_after_epoch", "print_model_summary", "debug")

PRECISIONS = ("float32", "bfloat16", "float16")
LOSSES = ("mae", "mse", "charbonnier")
SCHEDULES = ("step", "cosine")


def parser():
    """Returns the command line of this script, without the defaults of a profile."""
    p = script_parser(__doc__)
    p.add_argument("-p", "--profile", choices=PROFILES, help="sets the defaults of the options below")
    p.add_argument("-o", "--outdir", "--output", type=Path, default="./output", metavar="DIR",
                   help="folder in which the run's folder is made")
    p.add_argument("--seed", type=number(int, 0), default=0, metavar="N", help="of weights and data")

    data = p.add_argument_group("data")
    add_dataset_options(data)
    data.add_argument("-s", "--scale", type=int, choices=SCALES, default=2, help="factor of super-resolution")
    data.add_argument("--training-images", type=id_range, metavar="A-B", help="ids; by default all that are there")
    data.add_argument("--validation-images", type=id_range, metavar="A-B", help="ids; by default all that are there")
    data.add_argument("--patch-size", type=number(int, 8), default=48, metavar="N",
                      help="size of the low-resolution patches")
    data.add_argument("--num-workers", type=number(int, 1), default=1, metavar="N", help="threads that load images")
    data.add_argument("--use-multiprocessing", action="store_true", help="load images in processes, not in threads")
    data.add_argument("--max-queue-size", type=number(int, 1), default=16, metavar="N", help="batches loaded ahead")

    network = p.add_argument_group("network")
    network.add_argument("-m", "--model", choices=MODELS, default="wdsr-b", help="the network")
    network.add_argument("--num-filters", type=number(int, 1), default=32, metavar="N", help="filters of a layer")
    network.add_argument("--num-res-blocks", type=number(int, 1), default=8, metavar="N", help="residual blocks")
    network.add_argument("--res-expansion", type=number(int, 1), default=4, metavar="N",
                         help="WDSR: factor of the wide activation")
    network.add_argument("--res-scaling", type=number(float, 0, exclusive=True), metavar="F",
                         help="factor on the residual branches")
    network.add_argument("--padding", choices=("symmetric", "same"), default="symmetric",
                         help="WDSR: mirror the borders (as the original suite) or fill them with zeros")
    network.add_argument("--pretrained-model", type=Path, metavar="FILE",
                         help="start with the weights of this model, of any scale")
    network.add_argument("--print-model-summary", action="store_true", help="print the layers")
    _add_training_options(p.add_argument_group("training"))
    _add_saving_options(p.add_argument_group("saving"))
    add_device_options(p)
    return p


def _add_training_options(group):
    group.add_argument("--epochs", type=number(int, 1), default=300, metavar="N", help="the last epoch's number")
    group.add_argument("--initial-epoch", type=number(int, 0), default=0, metavar="N",
                       help="epochs that were done before: the learning rate goes on from there")
    group.add_argument("--iterations-per-epoch", type=number(int, 1), default=1000, metavar="N", help="steps")
    group.add_argument("--validation-steps", type=number(int, 1), default=100, metavar="N",
                       help="batches of validation patches")
    group.add_argument("--batch-size", type=number(int, 1), default=16, metavar="N", help="patches in a batch")
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
    group.add_argument("--weightnorm", action=argparse.BooleanOptionalAction, default=False,
                       help="Adam with weight normalization")
    group.add_argument("--num-init-batches", type=number(int, 0), default=0, metavar="N",
                       help="batches for the data-based initialization of weight normalization")
    group.add_argument("--precision", choices=PRECISIONS, default="float32",
                       help="of the computation; weights and saved models are float32")


def _add_saving_options(group):
    group.add_argument("--save-best-models-only", action="store_true", help="save a model only if it is the best")
    group.add_argument("--save-models-after-epoch", type=number(int, 0), default=0, metavar="N",
                       help="save no models up to this epoch")
    group.add_argument("--benchmark", action="store_true",
                       help="validate on full-size images and save the best models only")
    group.add_argument("--resume", type=Path, metavar="RUN_DIR", help="go on with the run in this folder")


def parse_args(argv=None):
    """Parses the command line; a profile sets defaults, so that what is typed wins."""
    p = parser()
    typed = typed_options(p, argv)
    if "resume" in typed:
        return _resume_args(p, typed)
    p.set_defaults(**PROFILES.get(typed.get("profile"), {}))
    args = p.parse_args(argv)
    if args.model == "sr-resnet" and args.scale != 4:
        p.error(f"scale {args.scale} is not supported by sr-resnet: choose 4")
    if args.num_init_batches and not args.weightnorm:
        p.error("--num-init-batches belongs to weight normalization: add --weightnorm")
    if args.num_init_batches and args.pretrained_model:
        p.error("--num-init-batches would overwrite the weights of --pretrained-model: give only one of them")
    if sum(clip is not None for clip in (args.clipnorm, args.global_clipnorm, args.clipvalue)) > 1:
        p.error("--clipnorm, --global-clipnorm and --clipvalue exclude each other: give one of them")
    if args.initial_epoch >= args.epochs:
        p.error(f"--initial-epoch {args.initial_epoch} leaves nothing to do: --epochs is {args.epochs}")
    return args


def _resume_args(p, typed):
    """Returns the arguments in args.txt of the run to go on with, with the options that were typed beside."""
    for name in typed:
        if name not in RESUME_OPTIONS:
            p.error(f"--{name.replace('_', '-')} cannot be changed with --resume: the run goes on with its own")
    path = typed["resume"] / "args.txt"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        p.error(f"{path}: {error.strerror}: --resume takes the folder of a run")
    args = p.parse_args(lines)
    for name, value in typed.items():
        setattr(args, name, value)
    return args


def main(args):
    """Trains a network and returns the exit code."""
    from devices import limit_gpu_memory, report_devices

    limit_gpu_memory(args.gpu_memory_fraction)
    import keras

    from training.logs import TensorBoardLog
    from training.loop import Training
    from training.monitoring import Interrupted, Interrupts
    from training.networks import build_models, compile_model, learning_rate_schedule
    from training.start import resume_run, start_run

    report_devices()
    keras.utils.set_random_seed(args.seed)
    train_pairs, valid_pairs = _find_pairs(args)
    sequence, validate = _data(args, train_pairs, valid_pairs)
    inference_model, network = build_models(args)
    schedule = learning_rate_schedule(args)
    compile_model(network, args, schedule)
    if args.resume:
        workspace, progress = resume_run(args, network)
    else:
        workspace, progress = start_run(args, parser(), network, inference_model, sequence)
    training = Training(
        network, inference_model, workspace, progress, sequence, validate, schedule, epochs=args.epochs,
        iterations_per_epoch=args.iterations_per_epoch, save_best_only=args.save_best_models_only or args.benchmark,
        save_after_epoch=args.save_models_after_epoch,
        log=TensorBoardLog(workspace.logs_dir, valid_pairs, args.scale, progress["epoch"] + 1))
    with Interrupts() as interrupts:
        try:
            training.run(interrupts)
        except Interrupted as interrupted:
            print(f"{interrupted}: stopped after step {progress['step']} of epoch {progress['epoch'] + 1}; go on with\n"
                  f"    python train.py --resume {workspace.folder}")
            return interrupted.exit_code
        finally:
            sequence.close()
    print(f"best PSNR = {progress['best_psnr']:.4f}: {workspace.folder}")
    return 0


def _find_pairs(args):
    from datasets.div2k import find_pairs

    return [find_pairs(args.dataset, subset, args.scale, args.downgrade, ids)
            for subset, ids in (("train", args.training_images), ("valid", args.validation_images))]


def _data(args, train_pairs, valid_pairs):
    """Returns the sequence of training patches, and the function that validates a `Training`."""
    from data import PatchSequence
    from datasets.patches import PatchStream
    from training.validation import FullSizeValidation, PatchValidation

    def patches(subset, pairs, typed_ids, num_batches=None):
        stream = PatchStream(pairs, args.scale, args.batch_size, args.patch_size, augment=subset == "training",
                             seed=args.seed)
        if stream.num_too_small:
            size = args.patch_size * args.scale
            text = f"{stream.num_too_small} {subset} images are smaller than a patch of {size} x {size} pixels"
            if typed_ids:
                raise UserError(f"{text}: leave them out of --{subset}-images or choose a smaller --patch-size")
            print(f"{text} and are left out; {len(stream.pairs)} are used")
        return PatchSequence(stream, num_batches, args.num_workers, args.use_multiprocessing, args.max_queue_size)

    training = patches("training", train_pairs, args.training_images)
    if args.benchmark:
        return training, FullSizeValidation(valid_pairs)
    return training, PatchValidation(patches("validation", valid_pairs, args.validation_images,
                                             args.validation_steps))


if __name__ == "__main__":
    sys.exit(run(main, parse_args()))
