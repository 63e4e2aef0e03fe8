"""What train.py and train_gan.py do alike: from the command line to a run, and to its end."""

from functools import partial

from command_line.devices import prepare_backend
from command_line.distribution import check_distribution, process_group, resume_command
from command_line.groups import VALIDATION_ADVICE
from command_line.parsing import typed_options
from command_line.runs import (
    auto_resume,
    evaluation_options,
    fixed_options,
    print_end,
    print_start,
    resume_args,
    run_lines,
)


def parse_training(parser, argv, allowed, profiles=None):
    """Returns the arguments of a run, whose `resume` is the folder of the run to go on with, or None.

    Args:
        parser: of the script.
        argv: what was typed; None: the command line of the program.
        allowed: names of the options that may be typed beside --resume.
        profiles: dict from a value of --profile to the defaults that it sets.
    """
    typed = typed_options(parser, argv)
    if "auto_resume" in typed:
        typed = auto_resume(parser, typed, allowed)
    if "resume" in typed:
        args = resume_args(parser, typed, allowed)
    else:
        if "accept_changes" in typed:
            parser.error("--accept-changes belongs to --resume")
        parser.set_defaults(**(profiles or {}).get(typed.get("profile"), {}))
        args = parser.parse_args(argv)
        args.auto_resume = False  # there is no run yet, and those to come resume this one whether it says so or not
    check_distribution(parser, args)
    return args


def prepare_training(args, **special):
    """Sets the backend, the devices and the seed; returns `Devices`.

    Args:
        args: of the script.
        special: what the training does that devices may not support, arguments of `Devices.check_supported`.
    """
    from training.distribution import find_devices
    from training.processes import join

    prepare_backend(args.gpu_memory_fraction, partial(join, process_group(args)), args.tf32, trains=True)
    import keras

    devices = find_devices(args.distribute)
    devices.check_batch(args.batch_size)
    devices.check_supported(**special)
    keras.utils.set_random_seed(args.seed)
    return devices


def find_inputs(args, parser, allowed, devices, validation=True, more_advice=""):
    """Returns the pairs of images for training, those for validation, and what a run must be gone on with, a dict.

    Args:
        args, parser: of the script.
        allowed: names of the options that may be typed beside --resume.
        devices: `Devices`, whose processes must all have the same inputs.
        validation: whether to look for images for validation.
        more_advice: what else can be done where there are none.
    """
    from data import array_list, find_training_pairs
    from datasets.degraded import find_downgrade

    downgrade = find_downgrade(args.downgrade, args.downgrade_strength, args.downgrade_order, args.seed)
    train_pairs, valid_pairs = find_training_pairs(
        args.dataset, args.scale, downgrade, args.training_images, args.validation_images, args.validation_dataset,
        validation=validation, advice=VALIDATION_ADVICE + more_advice)
    inputs = {"train": array_list(train_pairs), "valid": array_list(valid_pairs),
              "options": fixed_options(parser, args, allowed)}
    devices.check_same(inputs)
    return train_pairs, valid_pairs, inputs


def patch_sequence(args, subset, pairs, part, *, patch_size, size_option, num_batches=None):
    """Returns the `PatchSequence` of a subset; images whose numbers were typed must be as large as a patch.

    Args:
        args: of the script.
        subset: 'train' or 'valid'.
        pairs: of images.
        part: of each batch that this process loads, as `patch_stream` takes it.
        patch_size: in LR pixels.
        size_option: the option that chooses it.
        num_batches: after which the sequence begins anew; None: never.
    """
    from data import PatchSequence, patch_stream

    option, typed = {"train": ("--training-images", args.training_images),
                     "valid": ("--validation-images", args.validation_images)}[subset]
    stream = patch_stream(pairs, args.scale, subset, batch_size=args.batch_size, patch_size=patch_size, seed=args.seed,
                          augment=not args.no_augmentation, part=part,
                          advice=f"leave them out of {option} or choose a smaller {size_option}" if typed else None)
    return PatchSequence(stream, num_batches, args.num_workers, args.use_multiprocessing, args.max_queue_size)


def make_workspace(args, parser, network, devices):
    """Makes the folder of a new run, and names it with the network that is trained; returns its `Workspace`."""
    from training.workspace import Workspace

    workspace = Workspace.create_once(args.outdir, run_lines(parser, args), devices)
    print(f"{workspace.folder}: {network.name} x{args.scale}, {network.count_params():,} parameters")
    return workspace


def open_workspace(args, variables, inputs, devices):
    """Restores the state of the run in `--resume` to `variables`; returns its `Workspace` and `Progress`.

    Raises:
        RunDone: it has done its epochs.
        UserError: it cannot be gone on with.
    """
    from training.workspace import open_run

    return open_run(args.resume, variables, args.epochs, advice="give more with --epochs", inputs=inputs,
                    accept_changes=args.accept_changes, devices=devices,
                    changes_advice="undo that, or go on all the same with --accept-changes")


def run_settings(args, workspace, progress, devices, valid_pairs, **keeping):
    """Returns the arguments of a `Training` that every one has, as a dict.

    Args:
        args: of the script.
        workspace, progress: of the run.
        devices: `Devices`.
        valid_pairs: of images for validation, the first of which are logged.
        keeping: which models are kept besides what the options for all trainings say.
    """
    from training.interrupts import Interrupts
    from training.logs import open_log

    return {"workspace": workspace, "progress": progress, "devices": devices, "interrupts": Interrupts(),
            "log": open_log(workspace.logs_dir, valid_pairs, args.scale, progress.epoch + 1, devices),
            "epochs": args.epochs, "iterations_per_epoch": args.iterations_per_epoch, "log_steps": args.log_steps,
            "log_interval": args.log_interval,
            "keeping": {"every": args.save_every, "keep_last": args.keep_last, **keeping}}


def train_to_the_end(run, args, parser, script):
    """Trains, says how it begins and ends, and returns the exit code.

    Args:
        run: a `Training`.
        args, parser: of the script.
        script: its name, such as 'train'.
    """
    print_start(run, run.workspace.logs_dir)
    code = run.to_the_end(resume_command(script, args))
    if code == 0:
        print_end(run, evaluation_options(parser, args))
    return code
