"""Signals: a training looks for them between steps, and ends with its state saved."""

import signal

from errors import UserError

OTHER_FAILED = 1000  # in place of a signal's number: a process cannot load its batches


class Interrupted(Exception):
    """A signal asked the training to stop. `exit_code` is the one that shells give for the signal."""

    def __init__(self, signal_number):
        super().__init__(signal.Signals(signal_number).name)
        self.exit_code = 128 + signal_number


class OtherProcessFailed(UserError):
    """Another process of this training cannot go on."""


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

    @property
    def received(self):
        """The number of the signal that has come, 0 for none."""
        return self._received or 0

    def _receive(self, number, _):
        if self._received is not None:
            raise KeyboardInterrupt
        self._received = number


def check(interrupts, sequences, devices, at_once=False):
    """Raises `Interrupted` if a signal has come, and what `PatchSequence.check` raises of the batches' loading.

    Several processes raise at the same call, whichever of them a signal has come to.

    Args:
        interrupts: `Interrupts` of this process.
        sequences: list of `PatchSequence`.
        devices: `Devices`.
        at_once: among several processes, wait for what the others have to say; by default that is heard some calls
            later.

    Raises:
        OtherProcessFailed: in place of what is raised in another process.
    """
    if devices.num_processes > 1:
        code = OTHER_FAILED if any(sequence.has_failed for sequence in sequences) else interrupts.received
        code = devices.agree(code, at_once)
        if code == 0:
            return
        if code < OTHER_FAILED:
            raise Interrupted(code)
    interrupts.check()
    for sequence in sequences:
        sequence.check()
    if devices.num_processes > 1:
        raise OtherProcessFailed("another process of this training cannot go on, as it says itself")
