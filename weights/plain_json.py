"""JSON from anybody: bounded in size and depth, and shown in errors without harm."""

import json

from errors import UserError

MAX_BYTES = 2**22  # a network of 100 layers takes a tenth of a megabyte
MAX_DEPTH = 64  # a Keras model has 14


def parse_json(path, content):
    """Parses the JSON of a model's configuration.

    Args:
        path: names the file in errors.
        content: str or bytes.

    Raises:
        UserError: it is no JSON, or larger or deeper than a configuration.
    """
    if len(content) > MAX_BYTES:
        raise UserError(f"{path}: its configuration has {len(content):,} bytes: far more than that of such a network")
    try:
        value = json.loads(content, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: its configuration is not JSON: {one_line(error)}") from error
    if _deeper(value, MAX_DEPTH):
        raise UserError(f"{path}: its configuration is more than {MAX_DEPTH} levels deep")
    return value


def one_line(error):
    """Returns the first line of an exception's text, printable and not too long."""
    lines = str(error).strip().splitlines()
    return printable(lines[0]) if lines else type(error).__name__


def printable(text, length=200):
    """Returns `text` cut to `length`, with whatever is not printable ASCII escaped."""
    return text[:length].encode("unicode_escape").decode("ascii") + ("..." if len(text) > length else "")


def shown(value):
    """Returns how an error shows a value from JSON."""
    return printable(value if isinstance(value, str) else json.dumps(value), 60)


def _deeper(value, depth):
    level = [value]
    while level and depth >= 0:
        level = [item for part in level if isinstance(part, (dict, list))
                 for item in (part.values() if isinstance(part, dict) else part)]
        depth -= 1
    return bool(level)


def _refuse(name):
    raise ValueError(f"{name} is no number of JSON")
