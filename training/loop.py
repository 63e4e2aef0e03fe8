"""The training loop: epochs of steps, validation, checkpoints; it can be left at any step and taken up exactly."""

import time

import keras

from errors import UserError
from files import WriteError, is_temporary
from training.monitoring import Interrupted
from training.workspace import load_state, save_state


def new_progress(epoch=0):
    """Returns the progress of a training that begins after `epoch` epochs; plain values, kept in the state file."""
    return {"epoch": epoch, "step": 0, "train_logs": None, "best_psnr": None, "history": []}


class Training:
    """Trains networks, epoch by epoch. A subclass says what a step, a validation and a checkpoint is.

    Args:
        inference_model: float32 network, which is validated and saved.
        sequence: `PatchSequence` of training patches.
        schedule: learning rate as a function of the step.
        epochs: number of the last epoch.
        iterations_per_epoch: steps of an epoch.

    Attributes:
        workspace: the run's `Workspace`.
        progress: dict of `new_progress`, or that of an earlier state.
        log: `TensorBoardLog`.
    """

    history_file = "history.csv"

    def __init__(self, inference_model, sequence, schedule, *, epochs, iterations_per_epoch):
        self.inference_model, self.sequence, self.schedule = inference_model, sequence, schedule
        self.epochs, self.iterations_per_epoch = epochs, iterations_per_epoch
        self.workspace = self.progress = self.log = self.interrupts = None

    def begin(self, workspace, progress):
        """Sets the folder of the run and how far it is."""
        self.workspace, self.progress = workspace, progress

    def resume(self, workspace):
        """Restores the state that is kept in the folder of the run."""
        self.begin(workspace, load_state(workspace.state_path, self.variables()))

    def run(self, interrupts):
        """Trains to the last epoch.

        Raises:
            Interrupted: a signal asked to stop; the state has been saved.
            UserError: the loss is not finite, or a file cannot be written.
        """
        self.interrupts = interrupts
        try:
            if self.progress["history"] == [] and self.progress["step"] == 0:
                self._save_state()  # a run that dies in its first epoch is resumed from here
            for epoch in range(self.progress["epoch"], self.epochs):
                interrupts.check()
                self._run_epoch(epoch)
        except Interrupted:
            self._save_state()
            raise
        except WriteError as error:
            raise UserError(f"{error}; {self._last_good()}") from error

    def variables(self):
        """Returns all that a state keeps: lists of Keras variables by the name of their group."""
        raise NotImplementedError

    def run_steps(self, epoch):
        """Does the steps that are left of an epoch, counted from 0; sets `step` and `train_logs` of the progress."""
        raise NotImplementedError

    def finish_epoch(self, epoch):
        """Validates, saves models, and returns the figures of the epoch as a dict."""
        raise NotImplementedError

    def summary(self):
        """Returns the last line of a run."""
        raise NotImplementedError

    def learning_rate(self, epoch, step=0):
        """Returns the learning rate after `step` steps of an epoch, both counted from 0."""
        return float(keras.ops.convert_to_numpy(self.schedule(epoch * self.iterations_per_epoch + step)))

    def fail_on_loss(self, loss, epoch, step):
        """Ends the run because `loss` is not finite at a step, counted from 1 within `epoch`, counted from 0."""
        raise UserError(f"the loss is {loss} at step {step} of epoch {epoch + 1}, with learning rate "
                        f"{self.learning_rate(epoch, step - 1):.3g}; {self._last_good()}; {self.loss_advice}")

    loss_advice = "a lower learning rate may help"

    def _run_epoch(self, epoch):
        start, steps = time.monotonic(), self.iterations_per_epoch - self.progress["step"]
        if self.progress["step"] < self.iterations_per_epoch:
            self.run_steps(epoch)
        rate = steps * self.sequence.batch_size / (time.monotonic() - start)
        self.interrupts.check()
        row = {"epoch": epoch + 1, **self.finish_epoch(epoch)}
        self.progress["history"].append(row)
        self.workspace.write_history(self.history_file, self.progress["history"])
        self.progress |= {"epoch": epoch + 1, "step": 0, "train_logs": None}
        self._save_state()
        self.log.write(epoch + 1, row, self.super_resolve)
        self._print(row, rate, time.monotonic() - start)

    def _print(self, row, rate, seconds):
        epoch, names = row["epoch"], [name for name in row if name != "epoch" and "learning_rate" not in name]
        figures = " - ".join([*(f"{name}: {row[name]:.4f}" for name in names), f"{rate:.0f} images/s"])
        minutes = round(seconds * (self.epochs - epoch) / 60)
        left = f"{minutes // 60}h{minutes % 60:02d}m"
        print(f"epoch {epoch}/{self.epochs} - {figures} - {seconds:.0f}s, {left} left", flush=True)

    def _last_good(self):
        paths = [path for path in self.workspace.models_dir.glob("*.keras") if not is_temporary(path)]
        if not paths:
            return "there is no checkpoint yet"
        return f"the last good checkpoint is {max(paths, key=lambda path: path.stat().st_mtime)}"

    def _save_state(self):
        save_state(self.workspace.state_path, self.variables(), self.progress)
