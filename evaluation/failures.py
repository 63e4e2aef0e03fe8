"""What could not be measured: it is told in one line, and the rest goes on."""

import contextlib
import sys
import traceback

from tqdm import tqdm

from errors import UserError, describe


class Failures:
    """Prints failures on stderr, each fault once.

    Args:
        debug: print tracebacks as well.

    Attributes:
        lines: what was printed.
    """

    def __init__(self, debug=False):
        self.debug, self.lines = debug, []

    def report(self, subject, error):
        """Prints an exception that `subject`, a path or a name, has caused; the next model may meet it again."""
        line = f"failed: {_one_line(subject, error)}"
        if line in self.lines:
            return
        self.lines.append(line)
        if self.debug:
            traceback.print_exception(error)
        tqdm.write(line, file=sys.stderr)


@contextlib.contextmanager
def reporting(subject, on_failure):
    """Hands an exception of any class that is raised in the block to `on_failure(subject, error)`.

    Model files and images are other people's, and what libraries raise on a bad one cannot be listed; one must not cost
    the others their results. Where `on_failure` is None, the exception is raised.
    """
    try:
        yield
    except Exception as error:
        if on_failure is None:
            raise
        on_failure(subject, error)


def _one_line(subject, error):
    text = describe(error)
    if isinstance(error, UserError) or (isinstance(error, OSError) and error.filename is not None):
        return text  # it names what is at fault
    kind = type(error).__name__
    cause = text.strip().splitlines()[0] if text.strip() else kind
    return f"{subject}: {kind}" + ("" if cause == kind else f": {cause}")
