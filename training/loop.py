"""The training loop: epochs of steps, validation, checkpoints; it can be left at any step and taken up exactly.

Each epoch is a `fit` of its own, which begins at the step where the last one ended: on every backend Keras' variables
are sure to hold the state of the training outside of `fit` (JAX keeps it elsewhere meanwhile), so that what is saved
there resumes exactly, inside an epoch too.
"""

import time

import keras

from data import WorkerDied
from errors import UserError
from files import WriteError, is_temporary
from super_resolution import SuperResolver
from training.interrupts import Interrupted
from training.workspace import save_state


class Training:
    """Trains networks, epoch by epoch. A subclass says what a step, a validation and a checkpoint is.

    Args:
        inference_model: float32 network, which is validated and saved.
        sequence: `PatchSequence` of training patches.
        schedule: learning rate as a function of the step.
        workspace: `Workspace`, the folder of the run.
        progress: `Progress`, how far the run is.
        log: `TensorBoardLog`.
        interrupts: `Interrupts`.
        epochs: number of the last epoch.
        iterations_per_epoch: steps of an epoch.
        loss_advice: what may help where the loss is not finite, the end of that error's text.
    """

    history_file = "history.csv"

    def __init__(self, inference_model, sequence, schedule, *, workspace, progress, log, interrupts, epochs,
                 iterations_per_epoch, loss_advice="a lower learning rate may help"):
        self.inference_model = inference_model
        self.super_resolve = SuperResolver(inference_model)
        self.sequence = sequence
        self.schedule = schedule
        self.workspace = workspace
        self.progress = progress
        self.log = log
        self.interrupts = interrupts
        self.epochs = epochs
        self.iterations_per_epoch = iterations_per_epoch
        self.loss_advice = loss_advice

    def to_the_end(self, resume_command):
        """Trains to the last epoch or to a signal, says how it ended, and returns the exit code.

        Args:
            resume_command: the command that goes on with a run whose folder stands behind it.

        Raises:
            WorkerDied: a process that loads images was killed; the state has been saved.
            UserError: the loss is not finite, or a file cannot be written.
        """
        try:
            with self.interrupts:
                self._run()
        except Interrupted as interrupted:
            progress = self.progress
            print(f"{interrupted}: stopped after step {progress.step} of epoch {progress.epoch + 1}; go on with\n"
                  f"    {resume_command} {self.workspace.folder}")
            return interrupted.exit_code
        finally:
            self.sequence.close()
        print(self.summary())
        return 0

    def check(self):
        """Raises `Interrupted` if a signal has come, and `WorkerDied` if a process that loads images was killed."""
        self.interrupts.check()
        self.sequence.check()

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

    def _run(self):
        try:
            if self.progress.history == [] and self.progress.step == 0:
                self._save_state()  # a run that dies in its first epoch is resumed from here
            for epoch in range(self.progress.epoch, self.epochs):
                self.check()
                self._run_epoch(epoch)
        except Interrupted:
            self._save_state()
            raise
        except WorkerDied as error:
            self._save_state()
            raise WorkerDied(f"{error}; the state after step {self.progress.step} of epoch {self.progress.epoch + 1} "
                             f"is saved in {self.workspace.folder}, and the run can be gone on with") from error
        except WriteError as error:
            raise UserError(f"{error}; {self._last_good()}") from error

    def _run_epoch(self, epoch):
        progress = self.progress
        start = time.monotonic()
        steps = self.iterations_per_epoch - progress.step
        if steps > 0:
            self.run_steps(epoch)
        rate = steps * self.sequence.batch_size / (time.monotonic() - start)
        self.check()
        row = {"epoch": epoch + 1, **self.finish_epoch(epoch)}
        progress.history.append(row)
        self.workspace.write_history(self.history_file, progress.history)
        progress.epoch = epoch + 1
        progress.step = 0
        progress.train_logs = None
        self._save_state()
        self.log.write(epoch + 1, row, self.super_resolve)
        self._print(row, rate, time.monotonic() - start)

    def _print(self, row, rate, seconds):
        epoch = row["epoch"]
        names = [name for name in row if name != "epoch" and "learning_rate" not in name]
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
