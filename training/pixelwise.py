"""Training a network with a pixel-wise loss: its steps, its validations, its checkpoints."""

import contextlib
import math
from collections import deque

import keras

import weights
from data import WorkerDied
from evaluation import DIV2KSample, Protocol, measure
from training.interrupts import InterruptCheck, Interrupted
from training.logs import step_bar
from training.loop import Training
from training.workspace import network_variables

CHECK_DELAY = 8  # steps after which a loss is looked at, so that the GPU need not be waited for


class PixelTraining(Training):
    """Trains one compiled network on the batches of a sequence.

    Args:
        network: compiled network.
        inference_model: float32 network with the same weights, which is saved and used for full-size images.
        sequence: `PatchSequence` of training patches.
        validate: function of a `PixelTraining` that returns `val_psnr` in dB and other figures as a dict.
        schedule: learning rate as a function of the step.
        save_best_only: save only models that are better than all before.
        save_after_epoch: save only models of later epochs.
        kwargs: of `Training`.
    """

    def __init__(self, network, inference_model, sequence, validate, schedule, *, save_best_only=False,
                 save_after_epoch=0, **kwargs):
        super().__init__(inference_model, sequence, schedule, **kwargs)
        self.network = network
        self.validate = validate
        self.save_best_only = save_best_only
        self.save_after_epoch = save_after_epoch

    def variables(self):
        return network_variables(self.network)

    def run_steps(self, epoch):
        progress = self.progress
        self.sequence.window(epoch * self.iterations_per_epoch + progress.step,
                             self.iterations_per_epoch - progress.step)
        monitor = StepMonitor(self, epoch, progress.step)
        history = self.network.fit(self.sequence, epochs=epoch + 1, initial_epoch=epoch, shuffle=False, verbose=0,
                                   callbacks=[monitor])
        progress.step = self.iterations_per_epoch
        progress.train_logs = {name: float(values[0]) for name, values in history.history.items()}

    def finish_epoch(self, epoch):
        with averaged_weights(self.network):
            self.inference_model.set_weights(self.network.get_weights())
            logs = {**self.progress.train_logs, **self.validate(self)}
        self._save_model(epoch + 1, logs["val_psnr"])
        return {**logs, "learning_rate": self.learning_rate(epoch)}

    def summary(self):
        return f"best PSNR = {self.progress.best_psnr:.4f}: {self.workspace.folder}"

    def _save_model(self, epoch, psnr):
        best = self.progress.best_psnr
        is_best = best is None or psnr > best
        if is_best:
            self.progress.best_psnr = psnr
        if epoch > self.save_after_epoch and (is_best or not self.save_best_only):
            weights.save(self.inference_model, self.workspace.models_dir / f"epoch-{epoch:03d}-psnr-{psnr:.4f}.keras")


class PatchValidation:
    """Validates the network of a `PixelTraining` on the fixed patches of a `PatchSequence`: `val_loss`, `val_psnr`."""

    def __init__(self, sequence):
        self.sequence = sequence

    def __call__(self, run):
        logs = run.network.evaluate(self.sequence, verbose=0, return_dict=True,
                                    callbacks=[InterruptCheck(run.interrupts)])
        return {f"val_{name}": float(value) for name, value in logs.items()}


class FullSizeValidation:
    """Validates the inference model of a `PixelTraining` on full-size images: `val_psnr`, as evaluate.py does."""

    def __init__(self, pairs):
        self.samples = [DIV2KSample(pair) for pair in pairs]

    def __call__(self, run):
        scores = measure(run.super_resolve, self.samples, Protocol.named("original"),
                         progress=run.interrupts.watched)
        return {"val_psnr": scores.mean("psnr")}


class StepMonitor(keras.callbacks.Callback):
    """Shows the progress of an epoch, ends it on a signal, and ends the run when the loss is not finite.

    Args:
        run: the `PixelTraining`.
        epoch: counted from 0.
        first_step: steps of this epoch that were done before; their mean figures are in the metrics' variables.
    """

    def __init__(self, run, epoch, first_step):
        super().__init__()
        self.run = run
        self.epoch = epoch
        self.step = first_step
        self.unchecked = deque()
        self.metrics = None
        if first_step:
            self.metrics = [keras.ops.convert_to_numpy(v) for v in run.network.metrics_variables]

    def on_epoch_begin(self, epoch, logs=None):
        if self.metrics:  # fit has just reset them
            for variable, value in zip(self.model.metrics_variables, self.metrics, strict=True):
                variable.assign(value)
        self.bar = step_bar(self.run, epoch, self.step)

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        self.unchecked.append((self.step, logs["loss"]))
        if len(self.unchecked) > CHECK_DELAY:
            self._check_loss()
        self.bar.update(self.run.sequence.batch_size)
        if self.step == self.run.iterations_per_epoch:
            return  # `Training` looks for a signal itself once it has the figures of the whole epoch
        try:
            self.run.check()
        except (Interrupted, WorkerDied):
            self._check_all()
            self.run.progress.step = self.step
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
            self.run.fail_on_loss(loss, self.epoch, step)
        self.bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)


@contextlib.contextmanager
def averaged_weights(network):
    """Puts the moving average of the weights in place of the weights, where the optimizer keeps one.

    Not by Keras' `SwapEMAWeights`: on TensorFlow it swaps by adding and subtracting, and the weights come back rounded.
    """
    optimizer = getattr(network.optimizer, "inner_optimizer", network.optimizer)
    if not optimizer.use_ema:
        yield
        return
    variables = network.trainable_variables
    trained = [keras.ops.convert_to_numpy(variable) for variable in variables]
    type(optimizer).finalize_variable_values(optimizer, variables)  # the class's own, which fit must not call
    for variable in variables:  # a copy: JAX must not hold one array in two variables
        variable.assign(keras.ops.convert_to_numpy(variable))
    try:
        yield
    finally:
        for variable, value in zip(variables, trained, strict=True):
            variable.assign(value)
