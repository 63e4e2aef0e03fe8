"""How a script ends: its exit code, errors in one line, and signals."""

import os
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path

from errors import UserError, describe

STOP_SIGNALS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "the terminal was closed"}
STOP_SECONDS = 5  # which a stopped script has to clean up


def run(main, args):
    """Calls `main(args)` and returns the exit code: what `main` returned, or 1 after an error.

    A `UserError` or an `OSError` is one line on stderr; `--debug` shows the traceback as well. SIGINT, SIGTERM and
    SIGHUP unwind what is running as Ctrl-C does; the exit code is then the one that shells give for the signal.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up notes hide our own lines
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # any file name can be shown, in any locale
    with _StopSignals() as signals:
        try:
            return main(args) or 0
        except KeyboardInterrupt:
            return _stopped(signals.received or signal.SIGINT)
        except Exception as error:
            if signals.received:  # a library has made an error of it, or the terminal to be written to is closed
                return _stopped(signals.received)
            if not isinstance(error, (UserError, OSError)):
                raise
            if args.debug:
                traceback.print_exc()
            print(f"{_script_name()}: error: {describe(error)}", file=sys.stderr)
            return 1


def _stopped(number):
    """Says that a signal ended the script, and returns the exit code."""
    with suppress(OSError):  # the terminal may be gone
        print(f"{_script_name()}: {STOP_SIGNALS[signal.Signals(number).name]}", file=sys.stderr)
    return 128 + number


def _script_name():
    return Path(sys.argv[0]).name


class _StopSignals:
    """Within the `with` block the first signal of `STOP_SIGNALS` raises `KeyboardInterrupt`, once.

    Those that follow would interrupt the cleaning up. They are ignored for some seconds; then they end the process.
    After the block they are ignored, since Python's own end takes a while, in which they would change the exit code.
    """

    def __enter__(self):
        self.received, self._time, self._handlers = None, None, {}
        if threading.current_thread() is threading.main_thread():
            numbers = [getattr(signal, name) for name in STOP_SIGNALS if hasattr(signal, name)]
            self._handlers = {number: signal.signal(number, self._receive) for number in numbers
                              if signal.getsignal(number) != signal.SIG_IGN}  # as nohup has it for SIGHUP
        return self

    def __exit__(self, *_):
        for number, handler in self._handlers.items():
            signal.signal(number, signal.SIG_IGN if self.received else handler)

    def _receive(self, number, _):
        if self.received is None:
            self.received, self._time = number, time.monotonic()
            raise KeyboardInterrupt
        if time.monotonic() - self._time > STOP_SECONDS:
            os._exit(128 + self.received)
