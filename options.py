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
