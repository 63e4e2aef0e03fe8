"""Watching a training: signals, the progress bar, losses that are not finite."""

import math
import signal
from collections import deque

import keras
from tqdm import tqdm

CHECK_DELAY = 8  # steps after which a loss is looked at, so that the GPU need not be waited for


class Interrupted(Exception):
    """A signal asked the training to stop. `exit_code` is the one that shells give for the signal."""

    def __init__(self, signal_number):
        super().__init__(signal.Signals(signal_number).name)
        self.exit_code = 128 + signal_number


class Interrupts:
    """Within the `with` block SIGINT (Ctrl-C) and SIGTERM are only noted; a second one ends the program at once."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))

    def __enter__(self):
        self._received = None
        self._handlers = {number: signal.signal(number, self._receive) for number in self.SIGNALS
                          if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN}  # as nohup does
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


class InterruptCheck(keras.callbacks.Callback):
    """Looks for a signal after each batch of a validation."""

    def __init__(self, interrupts):
        super().__init__()
        self.interrupts = interrupts

    def on_test_batch_end(self, batch, logs=None):
        try:
            self.interrupts.check()
        except Interrupted:
            if keras.backend.backend() == "jax":  # evaluate, unlike fit, leaves the variables without their values
                self.model.jax_state_sync()
            raise


class StepMonitor(keras.callbacks.Callback):
    """Shows the progress of an epoch, ends it on a signal, and ends the run when the loss is not finite.

    Args:
        training: the `Training`.
        epoch: counted from 0.
        first_step: steps of this epoch that were done before; their mean figures are in the metrics' variables.
    """

    def __init__(self, training, epoch, first_step):
        super().__init__()
        self.training, self.epoch, self.step = training, epoch, first_step
        self.unchecked = deque()
        self.metrics = None
        if first_step:
            self.metrics = [keras.ops.convert_to_numpy(v) for v in training.network.metrics_variables]

    def on_epoch_begin(self, epoch, logs=None):
        if self.metrics:  # fit has just reset them
            for variable, value in zip(self.model.metrics_variables, self.metrics, strict=True):
                variable.assign(value)
        batch_size = self.training.sequence.stream.batch_size
        self.bar = tqdm(total=self.training.iterations_per_epoch * batch_size, initial=self.step * batch_size,
                        desc=f"epoch {epoch + 1}/{self.training.epochs}", unit="image", leave=False, disable=None)

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        self.unchecked.append((self.step, logs["loss"]))
        if len(self.unchecked) > CHECK_DELAY:
            self._check_loss()
        self.bar.update(self.training.sequence.stream.batch_size)
        if self.step == self.training.iterations_per_epoch:
            return  # `Training` looks for a signal itself once it has the figures of the whole epoch
        try:
            self.training.interrupts.check()
        except Interrupted:
            self._check_all()
            self.training.progress["step"] = self.step
            raise

    def on_epoch_end(self, epoch, logs=None):
        self._check_all()

    def _check_all(self):
        while self.unchecked:
            self._check_loss()
        self.bar.close()

    def _check_loss(self):
        step, loss = self.unchecked.popleft()
        loss = float(loss)  # the mean of the epoch so far: once not finite, it stays so
        if not math.isfinite(loss):
            self.bar.close()
            self.training.fail_on_loss(loss, self.epoch, step)
        self.bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
