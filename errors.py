"""Faults of the input, and how an exception is told in one line."""

import re

# Control characters, and those that end a line or turn the direction of text: a file's name may hold them.
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class UserError(Exception):
    """A fault of the input. Its text names the thing, the cause and what is allowed."""


def describe(error):
    """Returns the one-line text of an exception, with the file's path where the system names one."""
    if isinstance(error, OSError) and error.filename is not None:
        return printable(f"{error.filename}: {error.strerror}")
    text = str(error) if isinstance(error, UserError) else " ".join(str(error).splitlines())
    return printable(text or type(error).__name__)


def printable(text):
    """Returns `text`, such as a path, with its control characters as escapes such as \\n."""
    return CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), str(text))
