"""Parsers of the scripts, and the types of their values."""

import argparse
import math
import os
import re
from pathlib import Path

from choices import MODEL_SUFFIXES
from errors import printable

INSTALLED = "." in __package__  # the suite's rooms are then parts of one package, and its scripts are commands
LARGEST = 2**31 - 1  # of whole numbers: what every library underneath takes
LARGEST_SEED = 2**32 - 1  # what NumPy's and the backends' generators take


class Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the layout of a script's docstring and adds the default of every option that has one."""

    def _get_help_string(self, action):
        return action.help if action.default is None else super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the command line in one line that points to the help, instead of all options."""

    def error(self, message):
        command = " ".join(self.words())
        self.exit(2, f"{self.prog}: error: {printable(message)} ({command} -h shows what there is)\n")

    def words(self):
        """Returns the words that call the script whose parser this is."""
        return [self.prog] if INSTALLED else ["python", self.prog]


def words_for(script):
    """Returns the words that call a script: for train_gan ['python', 'train_gan.py'], installed ['sr-train-gan']."""
    return [f"sr-{script.replace('_', '-')}"] if INSTALLED else ["python", f"{script}.py"]


def script_parser(doc):
    """Returns a parser whose help starts with the script's docstring `doc`."""
    parser = Parser(description=doc.strip(), formatter_class=Formatter, allow_abbrev=False)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def number(kind, minimum, maximum=None, exclusive=False):
    """Returns an argparse type: a number of type `kind` between `minimum` and `maximum`.

    With `exclusive`, the minimum itself is not allowed. Without a maximum, whole numbers end at `LARGEST`, and other
    numbers must be finite.
    """
    if maximum is None and kind is int:
        maximum = LARGEST
    bound = f"{'above' if exclusive else 'at least'} {minimum}" + ("" if maximum is None else f" and at most {maximum}")

    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            value = None
        in_range = value is not None and (value > minimum if exclusive else value >= minimum)
        if not in_range or value == math.inf or (maximum is not None and value > maximum):
            noun = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text} is not allowed: give {noun} {bound}")
        return value

    return parse


def id_range(text):
    """Parses an image range 'A-B' (or a single 'A') into the range of ids A, A + 1, ..., B."""
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text} is not an image range: give the first and the last id, as in 1-800")
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise argparse.ArgumentTypeError(f"{text} is an empty image range: the first id must not be above the last")
    if last > LARGEST:
        raise argparse.ArgumentTypeError(f"{text} is not an image range: ids end at {LARGEST}")
    return range(first, last + 1)


def model_file(text):
    """Parses a model: the path of a file, or the name of a shipped model as it is."""
    return Path(text) if os.sep in text or text.lower().endswith(MODEL_SUFFIXES) else text


def folder_part(text):
    """Parses a part of a folder's name: letters, digits, dots, dashes and underlines."""
    if not re.fullmatch(r"[\w.-]+", text) or set(text) == {"."}:
        raise argparse.ArgumentTypeError(f"{text} is not allowed: give the part of the folder's name behind "
                                         "DIV2K_train_LR_")
    return text


def typed_options(parser, argv=None):
    """Returns the options that stand on the command line, name to value, without any default."""
    absent = object()
    names = [action.dest for action in options_of(parser)]
    args = parser.parse_args(argv, argparse.Namespace(**dict.fromkeys(names, absent)))
    return {name: value for name, value in vars(args).items() if value is not absent}


def options_of(parser):
    """Returns the options of a parser; argparse itself has no public way to list them."""
    return [action for action in parser._actions if action.dest != "help"]
