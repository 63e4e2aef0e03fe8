"""What could not be measured: it is told in one line, and the rest goes on."""

import contextlib
import sys
import traceback
from typing import NamedTuple

from tqdm import tqdm

from errors import describe_fault


class Fault(NamedTuple):
    """What failed, as texts, which another process takes whatever the class of the exception.

    Attributes:
        line: that is printed.
        traceback: of the exception.
    """

    line: str
    traceback: str

    @classmethod
    def of(cls, subject, error):
        """Returns the `Fault` of an exception that `subject`, a path or a name, has caused."""
        return cls(f"failed: {describe_fault(subject, error)}", "".join(traceback.format_exception(error)))


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
        self.tell(Fault.of(subject, error))

    def tell(self, fault):
        """Prints a `Fault`."""
        if fault.line in self.lines:
            return
        self.lines.append(fault.line)
        if self.debug:
            tqdm.write(fault.traceback, file=sys.stderr, end="")
        tqdm.write(fault.line, file=sys.stderr)


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
