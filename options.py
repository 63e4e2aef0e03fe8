"""Choices and argument groups that the scripts share, and how a script ends on an error.

Only the standard library is imported here, so that `-h` answers at once.
"""

import argparse
import os
import re
import sys
import traceback
from pathlib import Path

SCALES = (2, 3, 4)
DOWNGRADES = ("bicubic", "bicubic_jpeg_75", "bicubic_jpeg_90", "unknown")
FOREIGN_SUFFIXES = (".h5", ".hdf5", ".pt", ".pth")  # of Keras 2 files and PyTorch checkpoints
MODELS = ("wdsr-a", "wdsr-b", "edsr", "edsr-gen", "sr-resnet")
GENERATORS = ("edsr-gen", "sr-resnet")  # of SRGAN
PRECISIONS = ("float32", "bfloat16", "float16")  # of a training
INFERENCE_PRECISIONS = PRECISIONS[:2]
RESUME_OPTIONS = ("resume", "epochs", "num_workers", "use_multiprocessing", "max_queue_size", "gpu_memory_fraction",
                  "print_model_summary", "debug")  # that may be typed beside --resume


class UserError(Exception):
    """A fault of the input. Its text names the thing, the cause and what is allowed."""


class Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the layout of a script's docstring and adds the default of every option."""


def script_parser(doc):
    """Returns a parser whose help starts with the script's docstring `doc`."""
    parser = argparse.ArgumentParser(description=doc.strip(), formatter_class=Formatter, allow_abbrev=False)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def run(main, args):
    """Calls `main(args)` and returns the exit code: what `main` returned, or 1 after an error.

    A `UserError` or an `OSError` is one line on stderr; `--debug` shows the traceback as well.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up notes hide our own lines
    try:
        return main(args) or 0
    except (UserError, OSError) as error:
        if args.debug:
            traceback.print_exc()
        print(f"{Path(sys.argv[0]).name}: error: {describe(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{Path(sys.argv[0]).name}: interrupted", file=sys.stderr)
        return 130


def typed_options(parser, argv=None):
    """Returns the options that stand on the command line, name to value, without any default."""
    absent = object()
    names = [action.dest for action in parser._actions if action.dest != "help"]
    args = parser.parse_args(argv, argparse.Namespace(**dict.fromkeys(names, absent)))
    return {name: value for name, value in vars(args).items() if value is not absent}


def describe(error):
    """Returns the one-line text of an exception, with the file's path where the system names one."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def number(kind, minimum, maximum=None, exclusive=False):
    """Returns an argparse type: a number of type `kind` between `minimum` and `maximum`.

    With `exclusive`, the minimum itself is not allowed.
    """
    bound = f"{'above' if exclusive else 'at least'} {minimum}" + ("" if maximum is None else f" and at most {maximum}")

    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            value = None
        in_range = value is not None and (value > minimum if exclusive else value >= minimum)
        if not in_range or (maximum is not None and value > maximum):
            noun = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text} is not allowed: give {noun} {bound}")
        return value

    return parse


def id_range(text):
    """Parses an image range 'A-B' (or a single 'A') into the list of ids A, A + 1, ..., B."""
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text} is not an image range: give the first and the last id, as in 1-800")
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise argparse.ArgumentTypeError(f"{text} is an empty image range: the first id must not be above the last")
    return list(range(first, last + 1))


def resume_args(parser, typed, allowed):
    """Returns the arguments in args.txt of the run to go on with, with the options that were typed beside.

    Args:
        parser: of the script that goes on.
        typed: `typed_options`, with 'resume'.
        allowed: names of the options that may differ from the run's own.
    """
    for name in typed:
        if name not in allowed:
            parser.error(f"--{name.replace('_', '-')} cannot be changed with --resume: the run goes on with its own")
    path = typed["resume"] / "args.txt"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        parser.error(f"{path}: {error.strerror}: --resume takes the folder of a run")
    args = parser.parse_args(lines)
    for name, value in typed.items():
        setattr(args, name, value)
    return args


def add_run_options(parser):
    """Adds where a training run is kept, its seed, and `--resume`."""
    parser.add_argument("-o", "--outdir", "--output", type=Path, default="./output", metavar="DIR",
                        help="folder in which the run's folder is made")
    parser.add_argument("--seed", type=number(int, 0), default=0, metavar="N", help="of weights and data")
    parser.add_argument("--resume", type=Path, metavar="RUN_DIR", help="go on with the run in this folder")


def add_training_data_options(parser, scale):
    """Adds the data set, the scale (with the default `scale`), image ranges and how patches are loaded."""
    add_dataset_options(parser)
    parser.add_argument("-s", "--scale", type=int, choices=SCALES, default=scale, help="factor of super-resolution")
    parser.add_argument("--training-images", type=id_range, metavar="A-B", help="ids; by default all that are there")
    parser.add_argument("--validation-images", type=id_range, metavar="A-B", help="ids; by default all that are there")
    parser.add_argument("--num-workers", type=number(int, 1), default=1, metavar="N", help="threads that load images")
    parser.add_argument("--use-multiprocessing", action="store_true", help="load images in processes, not in threads")
    parser.add_argument("--max-queue-size", type=number(int, 1), default=16, metavar="N", help="batches loaded ahead")


def add_precision_option(parser):
    """Adds `--precision` of a training."""
    parser.add_argument("--precision", choices=PRECISIONS, default="float32",
                        help="of the computation; weights and saved models are float32")


def add_dataset_options(parser):
    """Adds `--dataset` and `--downgrade`."""
    parser.add_argument("-d", "--dataset", type=Path, default="./DIV2K_BIN", metavar="DIR",
                        help="data set in DIV2K's layout, converted to numpy arrays")
    parser.add_argument("--downgrade", choices=DOWNGRADES, default="bicubic",
                        help="how the low-resolution images were made")


def add_device_options(parser):
    """Adds `--gpu-memory-fraction`."""
    parser.add_argument("--gpu-memory-fraction", type=number(float, 0, 1, exclusive=True), default=0.8, metavar="F",
                        help="largest share of a GPU's memory to take; without effect on a CPU")
