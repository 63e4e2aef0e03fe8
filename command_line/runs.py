"""What the command line has to do with a training run: args.txt, `--resume`, the first and last lines."""

import argparse
import re
import shlex
from pathlib import Path

from command_line.distribution import DISTRIBUTION_OPTIONS
from command_line.parsing import Parser, options_of, words_for
from errors import UserError
from files import read_text

# What may be typed beside --resume.
RESUME_OPTIONS = (
    "resume", "auto_resume", "accept_changes", "dataset", "validation_dataset", "epochs", "num_workers",
    "use_multiprocessing", "max_queue_size", "gpu_memory_fraction", "print_model_summary", "debug", "log_interval",
    "log_steps", "save_every", "keep_last", *DISTRIBUTION_OPTIONS)

DATA_OPTIONS = ("dataset", "validation_dataset", "downgrade", "downgrade_strength", "downgrade_order", "scale",
                "training_images", "validation_images")


def resume_args(parser, typed, allowed):
    """Returns the arguments in args.txt of the run to go on with, with the options that were typed beside.

    Args:
        parser: of the script that goes on.
        typed: `typed_options`, with 'resume'.
        allowed: names of the options that may differ from the run's own.
    """
    refused = [name for name in typed if name not in allowed]
    if refused:
        parser.error(f"--{refused[0].replace('_', '-')} cannot be changed with --resume: the run goes on with its own"
                     f"{_in_a_new_run(parser, typed, refused)}")
    args = _args_of_run(parser, typed["resume"])
    for name, value in typed.items():
        setattr(args, name, value)
    return args


def _args_of_run(parser, folder):
    """Returns the arguments in args.txt of the run in `folder`; without them, or damaged ones, the program ends."""
    path = folder / "args.txt"
    try:
        lines = read_text(path).split("\n")
    except OSError as error:
        parser.error(f"{path}: {error.strerror}: --resume takes the folder of a run")
    except UserError as error:
        parser.error(str(error))
    return _parse_lines(parser, path, [line.removesuffix("\r") for line in lines if line])


def auto_resume(parser, typed, allowed):
    """Returns typed options with 'resume', the newest run in their --outdir, in place of what that run has already.

    Where there is no run yet, they are returned without 'auto_resume', for the first one.

    Args:
        parser: of the script.
        typed: `typed_options`, with 'auto_resume'.
        allowed: names of the options that may differ from the run's own.
    """
    if "resume" in typed:
        parser.error("--auto-resume finds the run itself: leave out --resume")
    outdir = typed.get("outdir", parser.get_default("outdir"))
    runs = sorted(path.parent.parent for path in Path(outdir).glob("*/state/state.npz"))
    if not runs:
        return {name: value for name, value in typed.items() if name != "auto_resume"}
    kept = resume_args(parser, {"resume": runs[-1]}, allowed)
    own = {name: value for name, value in typed.items() if name not in allowed and name != "outdir"}
    changed = [name for name, value in own.items() if args_lines(parser, argparse.Namespace(**{name: value}))
               != args_lines(parser, argparse.Namespace(**{name: getattr(kept, name)}))]
    if changed:
        parser.error(f"--{changed[0].replace('_', '-')} is another than that of {runs[-1]}, with which --auto-resume "
                     "would go on: type the same options, or another --outdir")
    return {name: value for name, value in typed.items() if name in allowed} | {"resume": runs[-1]}


def say_done(error, is_fine):
    """Says that a run is done, which `error` tells, and returns 0 if that is fine, as --auto-resume finds it."""
    if not is_fine:
        raise error
    print(error)
    return 0


def _in_a_new_run(parser, typed, refused):
    """Returns the command of a new run that goes on with the last model of the run, and with what was `typed`.

    All that differs from the defaults is named, and not the run's profile, which would change the other defaults; with
    another profile, the data alone are those of the run.
    """
    if {"pretrained_model", "initial_epoch"} & {*refused}:
        return ""
    folder, defaults = typed["resume"], vars(parser.parse_args([]))
    own = vars(_args_of_run(parser, folder)) if (folder / "args.txt").exists() else {}
    epochs = {int(match[1]): path for path in (folder / "models").glob("*.keras")
              if (match := re.match(r"(?:generator-)?epoch-(\d+)", path.name))}
    number = max(epochs, default=None)
    names = DATA_OPTIONS if "profile" in typed else own.keys() - {"profile", "outdir", "num_init_batches"}
    new = {name: own[name] for name in own if name in names and own[name] != defaults[name]}
    new |= {"pretrained_model": str(epochs.get(number, "FILE")), **typed}
    for name in ("resume", "accept_changes"):
        new.pop(name, None)
    if "initial_epoch" in defaults:
        new["initial_epoch"] = "N" if number is None else number
        if number is not None and new.get("epochs", defaults["epochs"]) <= number:
            new["epochs"] = 2 * number  # as many again
    words = [word for line in args_lines(parser, argparse.Namespace(**new)) for word in line.split("=", 1)]
    return f"; what goes on with another is a new run: {shlex.join([*parser.words(), *words])}"


def _parse_lines(parser, path, lines):
    """Returns the arguments that `args_lines` wrote to `path`; any other content is an error that names the file."""
    options = {name for action in options_of(parser) for name in action.option_strings if name.startswith("--")}

    def refuse(message):
        Parser.error(parser, f"{path}: is damaged or not of this script: {message}")

    if not lines:
        refuse("it is empty")
    for line in lines:
        if line.partition("=")[0] not in options:
            refuse(f"{line[:100]!r} is no option")
    parser.error = refuse
    try:
        return parser.parse_args(lines)
    finally:
        del parser.error


def args_lines(parser, args):
    """Returns the lines of args.txt: every option of `args` as '--option=value', from which `parser` reads the same.

    Paths are absolute, so that the run can be gone on with in another folder.
    """
    lines = []
    for action in options_of(parser):
        value = getattr(args, action.dest, None)
        if value is None:
            continue
        option = next(name for name in action.option_strings if name.startswith("--"))
        if isinstance(value, bool):
            if value:
                lines.append(option)
            elif f"--no-{option[2:]}" in action.option_strings:
                lines.append(f"--no-{option[2:]}")
        elif isinstance(value, Path):
            lines.append(f"{option}={value.absolute()}")
        elif isinstance(value, range):
            lines.append(f"{option}={value[0]}-{value[-1]}")
        else:
            lines.append(f"{option}={value}")
    for line in lines:
        if "\n" in line or "\r" in line:
            raise UserError(f"{line}: a line of args.txt cannot hold a line break: rename the file or folder")
    return lines


def run_lines(parser, args):
    """Returns the lines of args.txt of a run: those of `args_lines` of what is not of the machines it runs on."""
    kept = {name: value for name, value in vars(args).items() if name not in DISTRIBUTION_OPTIONS}
    return args_lines(parser, argparse.Namespace(**kept))


def fixed_options(parser, args, allowed):
    """Returns the lines of `args_lines` of what a run keeps and no default is: all but the options `allowed`."""
    kept = {action.dest for action in options_of(parser)} - {*allowed, "outdir"}
    lines, defaults = (args_lines(parser, argparse.Namespace(**{name: vars(a)[name] for name in kept}))
                       for a in (args, parser.parse_args([])))
    return [line for line in lines if line not in defaults]


def print_start(run, logs_dir):
    """Says on how many images a `Training` trains and validates, and how its figures are seen."""
    num_valid = run.validate.num_images if run.validate else "none"
    print(f"images: {len(run.sequence.stream.pairs)} for training, {num_valid} for validation\n"
          f"figures: tensorboard --logdir {shlex.quote(str(logs_dir))}", flush=True)


def print_end(run, dataset_options):
    """Names the best and the last model of a `Training` that has ended, and the commands that evaluate and use it.

    Args:
        run: the `Training`.
        dataset_options: words that let evaluate.py take its validation images.
    """
    best, last = run.best_model, run.last_model
    if last is None:
        return
    if best is not None:
        print(f"best model by {run.figure_name}: {best}")
    if last != best:
        print(f"last model: {last}")
    model = str(best or last)
    print(f"    {shlex.join([*words_for('evaluate'), *dataset_options, '-i', model])}\n"
          f"    {shlex.join([*words_for('demo'), '-i', './photos', '-m', model])}")


def evaluation_options(parser, args, names=("dataset", "downgrade", "downgrade_strength", "downgrade_order",
                                            "validation_images")):
    """Returns the words that let evaluate.py take the validation images of a training.

    Args:
        parser, args: of the training; `args` has the options `names`.
        names: of the options that evaluate.py has too.
    """
    if getattr(args, "no_validation", False):
        return ["--images", "./photos"]
    dataset = args.validation_dataset or args.dataset
    chosen = {name: getattr(args, name) for name in names if getattr(args, name) != parser.get_default(name)}
    return args_lines(parser, argparse.Namespace(**{**chosen, "dataset": dataset}))
