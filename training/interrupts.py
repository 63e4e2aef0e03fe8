"""Signals: a training looks for them between steps, and ends with its state saved."""

import signal

from tqdm import tqdm


class Interrupted(Exception):
    """A signal asked the training to stop. `exit_code` is the one that shells give for the signal."""

    def __init__(self, signal_number):
        super().__init__(signal.Signals(signal_number).name)
        self.exit_code = 128 + signal_number


class Interrupts:
    """Within the `with` block SIGINT (Ctrl-C), SIGTERM and SIGHUP are only noted; a second ends the program at once.

    SIGTERM and SIGHUP that are ignored, as `nohup` does, stay so.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))

    def __init__(self):
        self._received = None
        self._handlers = {}

    def __enter__(self):
        self._handlers = {number: signal.signal(number, self._receive) for number in self.SIGNALS
                          if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN}
        return self

    def __exit__(self, *_):
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def check(self):
        """Raises `Interrupted` if a signal has come."""
        if self._received is not None:
            raise Interrupted(self._received)

    def watched(self, items):
        """Yields the items of a validation, shows how far it is, and looks for a signal after each."""
        for item in tqdm(items, desc="validation", unit="image", leave=False, disable=None):
            yield item
            self.check()

    def _receive(self, number, _):
        if self._received is not None:
            raise KeyboardInterrupt
        self._received = number
