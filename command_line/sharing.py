"""Which share of the images a process does, and on which devices."""

import argparse
import os

# Variables of a job in an array: its number, how many there are, and the first number.
JOB_ARRAYS = (("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN"),)


def add_sharing_options(parser, part, what):
    """Adds `--part`, whose help says that there are shares of `part`, `--devices` and `--ray`, which share `what`."""
    parser.add_argument("--part", type=_part, metavar="I/N",
                        help=f"do the I-th of N shares of {part}; array: the share of this job in an array of jobs "
                             f"({', '.join(name for name, _, _ in JOB_ARRAYS)})")
    parser.add_argument("--devices", type=_devices, metavar="A,B",
                        help=f"one process for each of these GPUs, such as 0,1, which share the {what}; with no GPU "
                             "they are processes on the CPU")
    parser.add_argument("--ray", nargs="?", const="", metavar="ADDRESS",
                        help=f"share the {what} with the workers of a Ray cluster, by default the one of this machine, "
                             "which is started if there is none; needs requirements/ray.txt")


def check_sharing(parser, args, alone=None):
    """Ends the program where sharing options, or one of them and an option of `alone`, are combined.

    Args:
        alone: dict from the name of an option that one process alone can fulfil to the reason.
    """
    if args.devices and args.ray is not None:
        parser.error("--devices cannot be combined with --ray, which has its own workers")
    for name in ("part", "devices", "ray"):
        for other, reason in (alone or {}).items():
            if getattr(args, name) is not None and getattr(args, other):
                parser.error(f"--{name} cannot be combined with --{other}, {reason}")


def _part(text):
    """Parses I/N, or `array`, as (I, N)."""
    if text == "array":
        return _array_part()
    number_, _, total = text.partition("/")
    if not (number_.isdecimal() and total.isdecimal() and 1 <= int(number_) <= int(total)):
        raise argparse.ArgumentTypeError(f"{text} is no share: give I/N with I from 1 to N, or array")
    return int(number_), int(total)


def _array_part():
    """Returns the share of this job of an array, as its environment says: (I, N)."""
    for name, total, first in JOB_ARRAYS:
        if name in os.environ:
            values = [os.environ.get(variable, "") for variable in (name, total, first)]
            if not all(value.isdecimal() for value in values):
                raise argparse.ArgumentTypeError(f"array: {name}, {total} and {first} are not all set to numbers")
            number_, total, first = map(int, values)
            return number_ - first + 1, total
    names = ", ".join(name for name, _, _ in JOB_ARRAYS)
    raise argparse.ArgumentTypeError(f"array: this is no job of an array, since none of {names} is set")


def _devices(text):
    """Parses A,B,... as a list of what CUDA calls devices: numbers, or names such as MIG-... and GPU-..."""
    names = text.split(",")
    if not all(name.strip() == name and name for name in names) or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"{text} is no list of devices: give each once, as in 0,1")
    return names
