"""Training a network with a pixel-wise loss: its steps, its validations, its checkpoints."""

import contextlib
import math
import time
from collections import deque

import keras
import numpy as np

from data import tensorflow_dataset
from errors import UserError
from evaluation import DIV2KSample, Protocol, measure
from training.interrupts import Interrupted
from training.loop import DATA_FAILURES, Training
from training.networks import averaged_weights
from training.workspace import network_variables

CHECK_DELAY = 8  # steps after which a loss is looked at, so that the GPU need not be waited for
LONGEST_EXECUTION = 1.0  # seconds that several steps in one go may take: a signal is answered after the second one


@contextlib.contextmanager
def reading(sequence, network):
    """Within the block a Keras network reads a `PatchSequence`; what the sequence fails with is raised as it is.

    The value of the block is what the network is to be given in place of the sequence.
    TensorFlow would make an error of its own of it. JAX needs the first batch to be sound, since it takes the
    variables' values before it asks for that, and they would be lost.
    """
    sequence.load_first()
    try:
        yield tensorflow_dataset(sequence) if keras.backend.backend() == "tensorflow" else sequence
    except Exception as error:
        if keras.backend.backend() == "jax":  # evaluate, unlike fit, leaves the variables without their values
            network.jax_state_sync()
        if not isinstance(error, (Interrupted, UserError)):
            sequence.check()
        raise


class PixelTraining(Training):
    """Trains one compiled network on the batches of a sequence.

    Args:
        network: compiled network.
        inference_model: float32 network with the same weights, which is saved and used for full-size images.
        sequence: `PatchSequence` of training patches.
        validate: function of a `PixelTraining` that returns `val_psnr` in dB and other figures as a dict, with the
            `PatchSequence`s that it reads as `sequences`; None to train without validation.
        schedule: learning rate as a function of the step.
        early_stopping: epochs without a better `val_psnr` after which the run ends, None for no such end.
        kwargs: of `Training`.
    """

    figure_name = "PSNR"

    def __init__(self, network, inference_model, sequence, validate, schedule, *, early_stopping=None, **kwargs):
        self.figure = "val_psnr" if validate else None
        super().__init__(inference_model, sequence, schedule, **kwargs)
        self.network = network
        self.validate = validate
        self.sequences = [sequence, *(validate.sequences if validate else ())]
        self.early_stopping = early_stopping
        self.steps_per_execution = network.steps_per_execution

    def variables(self):
        return network_variables(self.network)

    def run_steps(self, epoch):
        while self.progress.step < self.iterations_per_epoch:
            logs = self._fit(epoch)
        self.progress.train_logs = {name: float(value) for name, value in logs.items()}
        self.end_steps({name: value * self.iterations_per_epoch for name, value in self.progress.train_logs.items()})

    def _fit(self, epoch):
        """Does the steps that are left of an epoch, or some, where that many in one go are too slow; returns means."""
        progress = self.progress
        set_steps_per_execution(self.network, math.gcd(self.steps_per_execution, progress.step))
        self.sequence.window(epoch * self.iterations_per_epoch + progress.step,
                             self.iterations_per_epoch - progress.step)
        # A batch that cannot be loaded in the middle of an execution would lose the steps before it.
        self.sequence.together = self.network.steps_per_execution
        monitor = StepMonitor(self, epoch, progress.step)
        try:
            with self.devices.scope(), reading(self.sequence, self.network) as batches:
                history = self.network.fit(batches, epochs=epoch + 1, initial_epoch=epoch, shuffle=False,
                                           verbose=0, callbacks=[monitor])
        except (Interrupted, *DATA_FAILURES):
            monitor.leave()
            progress.step = monitor.step
            raise
        progress.step = monitor.step
        return {name: values[0] for name, values in history.history.items()}

    def shorten_executions(self, seconds):
        """Lets fewer steps be done in one go from now on, since as many as now have taken so many `seconds`."""
        steps = self.network.steps_per_execution
        self.steps_per_execution = max([divisor for divisor in range(1, steps) if steps % divisor == 0
                                        and divisor * seconds <= steps * LONGEST_EXECUTION], default=1)
        print(f"{steps} steps in one go take {seconds:.1f} s, too long for a signal to wait: "
              f"{self.steps_per_execution} from now on", flush=True)

    def finish_epoch(self, epoch):
        with averaged_weights(self.network):
            self.inference_model.set_weights(self.network.get_weights())
            logs = {**self.progress.train_logs, **(self.validate(self) if self.validate else {})}
        best = self.progress.best_psnr
        if self.validate and (best is None or logs["val_psnr"] > best):
            self.progress.best_psnr = logs["val_psnr"]
        return {**logs, "learning_rate": self.learning_rate(epoch)}

    def model_name(self, row):
        psnr = f"-psnr-{row['val_psnr']:.4f}" if "val_psnr" in row else ""
        return f"epoch-{row['epoch']:03d}{psnr}.keras"

    def is_over(self):
        if not self.early_stopping:
            return False
        count = self.checkpoints.epochs_without_better(self.progress.history)
        if count >= self.early_stopping:
            print(f"stopped early: no better PSNR in the last {count} epochs")
        return count >= self.early_stopping

    def summary(self):
        if not self.validate:
            return f"trained without validation: {self.workspace.folder}"
        return f"best PSNR = {self.progress.best_psnr:.4f}: {self.workspace.folder}"


class PatchValidation:
    """Validates the network of a `PixelTraining` on the fixed patches of a `PatchSequence`: `val_loss`, `val_psnr`."""

    def __init__(self, sequence):
        self.sequence = sequence
        self.sequences = [sequence]
        self.num_images = len(sequence.stream.pairs)

    def __call__(self, run):
        self.sequence.together = run.network.steps_per_execution
        with run.devices.scope(), reading(self.sequence, run.network) as batches:
            logs = run.network.evaluate(batches, verbose=0, return_dict=True,
                                        callbacks=[ValidationMonitor(run)])
        return {f"val_{name}": float(value) for name, value in logs.items()}


class ValidationMonitor(keras.callbacks.Callback):
    """Looks for a signal, and for a killed process, after each batch of the validation of a `PixelTraining`."""

    def __init__(self, run):
        super().__init__()
        self.run = run

    def on_test_batch_end(self, batch, logs=None):
        self.run.check()


class FullSizeValidation:
    """Validates the inference model of a `PixelTraining` on full-size images: `val_psnr`, as evaluate.py does.

    Several processes share the images.
    """

    sequences = ()

    def __init__(self, pairs):
        self.samples = [DIV2KSample(pair) for pair in pairs]
        self.num_images = len(self.samples)

    def __call__(self, run):
        devices, count = run.devices, len(self.samples)
        own, psnrs = self.samples[devices.process::devices.num_processes], []
        if own:
            scores = measure(run.super_resolve, own, Protocol.named("original"), progress=run.watched)
            psnrs = [row["psnr"] for row in scores.images]
        for _ in range(len(own), -(-count // devices.num_processes)):
            run.check(at_once=True)  # as often as the other processes do, which have an image more
        return {"val_psnr": float(np.mean(devices.collect(psnrs, count)))}


def set_steps_per_execution(network, steps):
    """Lets `fit` and `evaluate` of a compiled network do so many steps in one go."""
    if network.steps_per_execution != steps:
        network.steps_per_execution = steps
        network.train_function = network.test_function = None  # Keras compiles them for a number of steps


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
        self.step = self.first_step = first_step
        self.began = None  # the last steps in one go; None: the first ones, which include the compilation
        self.unchecked = deque()
        self.metrics = self.meter = None
        if first_step:
            self.metrics = [keras.ops.convert_to_numpy(v) for v in run.network.metrics_variables]

    def on_epoch_begin(self, epoch, logs=None):
        if self.metrics:  # fit has just reset them
            for variable, value in zip(self.model.metrics_variables, self.metrics, strict=True):
                variable.assign(value)
        self.meter = self.run.step_meter(epoch, self.step)

    def on_train_batch_end(self, batch, logs=None):
        before, self.step = self.step, self.first_step + batch + 1  # by several where they are done in one go
        self.unchecked.append((self.step, dict(logs)))
        delay = math.ceil(CHECK_DELAY / self.model.steps_per_execution)
        is_due = self.meter.is_due() and self.run.devices.num_processes == 1  # processes look at a loss together
        while len(self.unchecked) > (0 if is_due else delay):
            self._check_loss()
        self.meter.advance(steps=self.step - before)
        if self.step < self.run.iterations_per_epoch:
            self.run.check()  # `Training` looks for a signal itself once it has the figures of the whole epoch
            self._check_time()

    def on_epoch_end(self, epoch, logs=None):
        self.leave()

    def leave(self):
        """Looks at the losses that are left, at the end of the steps or where they are broken off."""
        while self.unchecked:
            self._check_loss()
        if self.meter:
            self.meter.close()

    def _check_time(self):
        seconds, self.began = self.began and time.monotonic() - self.began, time.monotonic()
        if seconds and seconds > LONGEST_EXECUTION and self.model.steps_per_execution > 1:
            self.run.shorten_executions(seconds)
            self.model.stop_training = True  # `fit` ends here, and another one does the rest of the epoch

    def _check_loss(self):
        step, means = self.unchecked.popleft()  # of the epoch so far
        loss = float(means["loss"])  # once not finite, it stays so
        if not math.isfinite(loss):
            self.meter.close()
            self.run.fail_on_loss(loss, self.epoch, step)
        self.meter.loss = loss
        if self.run.is_row_due(self.epoch, step):
            self.run.record(self.epoch, step, {name: float(mean) * step for name, mean in means.items()})
