"""The training loop: epochs of steps, validation, checkpoints; it can be left at any step and taken up exactly.

Each epoch is a `fit` of its own, which begins at the step where the last one ended: on every backend Keras' variables
are sure to hold the state of the training outside of `fit` (JAX keeps it elsewhere meanwhile), so that what is saved
there resumes exactly, inside an epoch too.
"""

import time

import keras
from tqdm import tqdm

from data import WorkerDied
from datasets.arrays import ArrayChanged
from errors import UserError
from files import WriteError, is_temporary
from super_resolution import SuperResolver
from super_resolution.tiles import default_memory
from training.checkpoints import Checkpoints
from training.distribution import Devices
from training.interrupts import Interrupted, OtherProcessFailed, check
from training.logs import StepLog, StepMeter, duration
from training.workspace import save_state

DATA_FAILURES = (WorkerDied, ArrayChanged, OtherProcessFailed)  # after which a run can be gone on with


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
        log_steps: steps between two rows of figures.
        log_interval: seconds between two lines about an epoch, where there is no terminal for a progress bar.
        devices: `Devices`; by default one.
        keeping: which models are kept, as a dict of arguments of `Checkpoints`.
        loss_advice: what may help where the loss is not finite, the end of that error's text.
    """

    history_file = "history.csv"
    learning_rate_name = "learning_rate"
    figure = None  # by which models are compared
    figure_name = ""
    lower_is_better = False

    def __init__(self, inference_model, sequence, schedule, *, workspace, progress, log, interrupts, epochs,
                 iterations_per_epoch, log_steps=100, log_interval=30, devices=None, keeping=None,
                 loss_advice="a lower learning rate may help"):
        self.inference_model = inference_model
        self.super_resolve = SuperResolver(inference_model, memory=default_memory(inference_model))
        self.sequence = sequence
        self.sequences = [sequence]
        self.schedule = schedule
        self.workspace = workspace
        self.progress = progress
        self.log = log
        self.interrupts = interrupts
        self.epochs = epochs
        self.iterations_per_epoch = iterations_per_epoch
        self.step_log = StepLog(workspace, log_steps)
        self.log_interval = log_interval
        self.devices = devices or Devices()
        self.checkpoints = Checkpoints(workspace.models_dir, self.model_name, self.figure, last_epoch=epochs,
                                       lower_is_better=self.lower_is_better, **(keeping or {}))
        self.loss_advice = loss_advice

    @property
    def best_model(self):
        """The path of the best model that is there; None where there is none, or nothing to compare."""
        return self.checkpoints.best(self.progress.history)

    @property
    def last_model(self):
        """The path of the last model that is there, or None."""
        return self.checkpoints.last(self.progress.history)

    def to_the_end(self, resume_command):
        """Trains to the last epoch or to a signal, says how it ended, and returns the exit code.

        Args:
            resume_command: the command that goes on with a run whose folder stands behind it.

        Raises:
            WorkerDied: a process that loads images was killed; the state has been saved.
            ArrayChanged: an array was replaced since the run began; the state has been saved.
            UserError: the loss is not finite, or a file cannot be written.
        """
        try:
            with self.interrupts:
                self._run()
        except Interrupted as interrupted:
            self.devices.end_together()
            progress = self.progress
            print(f"{interrupted}: stopped after step {progress.step} of epoch {progress.epoch + 1}; go on with\n"
                  f"    {resume_command} {self.workspace.folder}")
            return interrupted.exit_code
        finally:
            for sequence in self.sequences:
                sequence.close()
            self.workspace.unlock()
        self.devices.end_together()
        print(self.summary())
        return 0

    def check(self, at_once=False):
        """Raises what `interrupts.check` raises."""
        check(self.interrupts, self.sequences, self.devices, at_once)

    def watched(self, items):
        """Yields the items of a validation, shows how far it is, and looks for a signal after each."""
        for item in tqdm(items, desc="validation", unit="image", leave=False,
                         disable=None if self.devices.is_first else True):
            yield item
            self.check(at_once=True)

    def variables(self):
        """Returns all that a state keeps: lists of Keras variables by the name of their group."""
        raise NotImplementedError

    def run_steps(self, epoch):
        """Does the steps that are left of an epoch, counted from 0; sets `step` and `train_logs` of the progress."""
        raise NotImplementedError

    def finish_epoch(self, epoch):
        """Gives the inference model its weights, validates it, and returns the figures of the epoch as a dict."""
        raise NotImplementedError

    def model_name(self, row):
        """Returns the name of the model's file of an epoch, from its row of the history."""
        raise NotImplementedError

    def summary(self):
        """Returns the line that sums up a run."""
        raise NotImplementedError

    def is_over(self):
        """Whether the run ends before its last epoch; a subclass may say so, by the progress alone."""
        return False

    def step_meter(self, epoch, first_step):
        """Returns the `StepMeter` of an epoch, counted from 0, `first_step` steps of which are done."""
        return StepMeter(epoch, self.epochs, first_step, self.iterations_per_epoch, self.sequence.batch_size,
                         self.log_interval, self.devices.is_first)

    def is_row_due(self, epoch, step):
        """Whether a row of figures is due after `step` steps of an epoch, counted from 0."""
        return self.devices.is_first and self.step_log.is_due(epoch * self.iterations_per_epoch + step)

    def record(self, epoch, step, totals):
        """Writes the row of figures of the steps since the last row.

        Args:
            epoch: counted from 0.
            step: steps of the epoch that are done.
            totals: sums of the figures over these steps, by name.
        """
        rate = {self.learning_rate_name: self.learning_rate(epoch, step - 1)}
        self.progress.logged = self.step_log.write(epoch * self.iterations_per_epoch + step, epoch + 1,
                                                   {**totals, "steps": step}, self.progress.logged, rate)

    def end_steps(self, totals):
        """Notes that the sums, which were `totals`, begin again with the next epoch; not so the rows of figures."""
        totals = {**totals, "steps": self.iterations_per_epoch}
        self.progress.logged = {name: self.progress.logged.get(name, 0) - total for name, total in totals.items()}

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
            if self.devices.is_first:
                self.step_log.begin(self.progress.epoch * self.iterations_per_epoch + self.progress.step)
            for epoch in range(self.progress.epoch, self.epochs):
                if self.is_over():
                    break
                self.check(at_once=True)
                self._run_epoch(epoch)
        except Interrupted:
            self._save_state()
            raise
        except DATA_FAILURES as error:
            self._save_state()
            state = f"the state after step {self.progress.step} of epoch {self.progress.epoch + 1}"
            if self.devices.num_processes > 1:  # which may not have come to an agreement
                state = "the last state"
            raise type(error)(f"{error}; {state} is saved in {self.workspace.folder}, and the run can be gone on "
                              "with") from error
        except WriteError as error:
            raise UserError(f"{error}; {self._last_good()}") from error
        except self.devices.failures as error:
            text = self.devices.loss_of_process(error)
            if text is None:
                raise
            raise UserError(f"{text}: go on with the last state that is saved in {self.workspace.folder}") from error

    def _run_epoch(self, epoch):
        progress = self.progress
        start = time.monotonic()
        steps = self.iterations_per_epoch - progress.step
        if steps > 0:
            self.run_steps(epoch)
        rate = steps * self.sequence.batch_size / (time.monotonic() - start)
        self.check(at_once=True)
        row = {"epoch": epoch + 1, **self.finish_epoch(epoch)}
        progress.history.append(row)
        if self.devices.is_first:
            self.checkpoints.save(self.inference_model, progress.history)
            self.workspace.write_history(self.history_file, progress.history)
        progress.epoch = epoch + 1
        progress.step = 0
        progress.train_logs = None
        if self.devices.is_first:  # before the state: an epoch that is done is never without its figures
            self.log.write(epoch + 1, row, self.super_resolve)
        self._save_state()
        self._print(row, rate, time.monotonic() - start)

    def _print(self, row, rate, seconds):
        epoch = row["epoch"]
        names = [name for name in row if name != "epoch" and "learning_rate" not in name]
        figures = " - ".join([*(f"{name}: {row[name]:.4f}" for name in names), f"{rate:.0f} images/s"])
        left = duration(seconds * (self.epochs - epoch))
        print(f"epoch {epoch}/{self.epochs} - {figures} - {seconds:.0f}s, {left} left", flush=True)

    def _last_good(self):
        paths = [path for path in self.workspace.models_dir.glob("*.keras") if not is_temporary(path)]
        if not paths:
            return "there is no checkpoint yet"
        return f"the last good checkpoint is {max(paths, key=lambda path: path.stat().st_mtime)}"

    def _save_state(self):
        if self.devices.is_first:
            save_state(self.workspace.state_path, self.variables(), self.progress)
