"""The training loop: epochs of steps, validation, checkpoints; it can be left at any step and taken up exactly."""

import contextlib
import time

import keras

from files import WriteError, is_temporary
from model import save_model
from options import UserError
from super_resolution import SuperResolver
from training.monitoring import Interrupted, StepMonitor
from training.workspace import save_state


def new_progress(epoch=0):
    """Returns the progress of a training that begins after `epoch` epochs; plain values, kept in the state file."""
    return {"epoch": epoch, "step": 0, "train_logs": None, "best_psnr": None, "history": []}


class Training:
    """Trains a compiled network, epoch by epoch.

    Args:
        network: compiled network, trained on the batches of `sequence`.
        inference_model: float32 network with the same weights, which is saved and used for full-size images.
        workspace: the run's `Workspace`.
        progress: dict of `new_progress`, or that of an earlier state.
        sequence: `PatchSequence` of training patches.
        validate: function of a `Training` that returns `val_psnr` in dB and other figures as a dict.
        schedule: learning rate as a function of the step.
        epochs: number of the last epoch.
        iterations_per_epoch: steps of an epoch.
        log: `TensorBoardLog`.
        save_best_only: save only models that are better than all before.
        save_after_epoch: save only models of later epochs.
    """

    def __init__(self, network, inference_model, workspace, progress, sequence, validate, schedule, *, epochs,
                 iterations_per_epoch, log, save_best_only=False, save_after_epoch=0):
        self.network, self.inference_model = network, inference_model
        self.super_resolve = SuperResolver(inference_model)
        self.workspace, self.progress, self.log = workspace, progress, log
        self.sequence, self.validate, self.schedule = sequence, validate, schedule
        self.epochs, self.iterations_per_epoch = epochs, iterations_per_epoch
        self.save_best_only, self.save_after_epoch = save_best_only, save_after_epoch

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

    def _run_epoch(self, epoch):
        start, steps = time.monotonic(), self.iterations_per_epoch - self.progress["step"]
        if self.progress["step"] < self.iterations_per_epoch:
            self._run_steps(epoch)
        rate = steps * self.sequence.stream.batch_size / (time.monotonic() - start)
        self.interrupts.check()
        with averaged_weights(self.network):
            self.inference_model.set_weights(self.network.get_weights())
            logs = {**self.progress["train_logs"], **self.validate(self)}
        row = {"epoch": epoch + 1, **logs, "learning_rate": self.learning_rate(epoch)}
        self.progress["history"].append(row)
        self._save_model(epoch + 1, row["val_psnr"])
        self.workspace.write_history(self.progress["history"])
        self.progress |= {"epoch": epoch + 1, "step": 0, "train_logs": None}
        self._save_state()
        self.log.write(epoch + 1, row, self.super_resolve)
        seconds = time.monotonic() - start
        figures = " - ".join([*(f"{name}: {value:.4f}" for name, value in logs.items()), f"{rate:.0f} images/s"])
        minutes = round(seconds * (self.epochs - epoch - 1) / 60)
        left = f"{minutes // 60}h{minutes % 60:02d}m"
        print(f"epoch {epoch + 1}/{self.epochs} - {figures} - {seconds:.0f}s, {left} left", flush=True)

    def _run_steps(self, epoch):
        """Does the steps of an epoch that are left; leaves their mean figures in `progress`."""
        first = self.progress["step"]
        self.sequence.window(epoch * self.iterations_per_epoch + first, self.iterations_per_epoch - first)
        monitor = StepMonitor(self, epoch, first)
        history = self.network.fit(self.sequence, epochs=epoch + 1, initial_epoch=epoch, shuffle=False, verbose=0,
                                   callbacks=[monitor])
        self.progress |= {"step": self.iterations_per_epoch,
                          "train_logs": {name: float(values[0]) for name, values in history.history.items()}}

    def learning_rate(self, epoch, step=0):
        """Returns the learning rate after `step` steps of an epoch, both counted from 0."""
        return float(keras.ops.convert_to_numpy(self.schedule(epoch * self.iterations_per_epoch + step)))

    def fail_on_loss(self, loss, epoch, step):
        """Ends the run because `loss` is not finite at a step, counted from 1 within `epoch`, counted from 0."""
        raise UserError(f"the loss is {loss} at step {step} of epoch {epoch + 1}, with learning rate "
                        f"{self.learning_rate(epoch, step - 1):.3g}; {self._last_good()}; a lower --learning-rate or "
                        "--global-clipnorm may help")

    def _last_good(self):
        paths = [path for path in self.workspace.models_dir.glob("*.keras") if not is_temporary(path)]
        if not paths:
            return "there is no checkpoint yet"
        return f"the last good checkpoint is {max(paths, key=lambda path: path.stat().st_mtime)}"

    def _save_model(self, epoch, psnr):
        best = self.progress["best_psnr"]
        is_best = best is None or psnr > best
        if is_best:
            self.progress["best_psnr"] = psnr
        if epoch > self.save_after_epoch and (is_best or not self.save_best_only):
            path = self.workspace.model_path(epoch, psnr)
            save_model(self.inference_model, path)

    def _save_state(self):
        save_state(self.workspace.state_path, self.network, self.progress)


@contextlib.contextmanager
def averaged_weights(network):
    """Puts the moving average of the weights in place of the weights, where the optimizer keeps one (`--ema`)."""
    optimizer = getattr(network.optimizer, "inner_optimizer", network.optimizer)
    if not optimizer.use_ema:
        yield
        return
    variables = optimizer._trainable_variables
    weights = [keras.ops.convert_to_numpy(variable) for variable in variables]
    for variable, average in zip(variables, optimizer._model_variables_moving_average, strict=True):
        variable.assign(keras.ops.convert_to_numpy(average))  # a copy: JAX must not hold one array in two variables
    try:
        yield
    finally:
        for variable, weight in zip(variables, weights, strict=True):
            variable.assign(weight)
