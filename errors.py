"""Faults of the input, and how an exception is told in one line."""


class UserError(Exception):
    """A fault of the input. Its text names the thing, the cause and what is allowed."""


def describe(error):
    """Returns the one-line text of an exception, with the file's path where the system names one."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__
