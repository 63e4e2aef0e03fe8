"""Training a network with a pixel-wise loss."""

import contextlib

import keras

import weights
from super_resolution import SuperResolver
from training.loop import Training
from training.monitoring import StepMonitor
from training.workspace import network_variables


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

    loss_advice = "a lower --learning-rate or --global-clipnorm may help"

    def __init__(self, network, inference_model, sequence, validate, schedule, *, save_best_only=False,
                 save_after_epoch=0, **kwargs):
        super().__init__(inference_model, sequence, schedule, **kwargs)
        self.network, self.validate = network, validate
        self.super_resolve = SuperResolver(inference_model)
        self.save_best_only, self.save_after_epoch = save_best_only, save_after_epoch

    def variables(self):
        return network_variables(self.network)

    def run_steps(self, epoch):
        first = self.progress["step"]
        self.sequence.window(epoch * self.iterations_per_epoch + first, self.iterations_per_epoch - first)
        monitor = StepMonitor(self, epoch, first)
        history = self.network.fit(self.sequence, epochs=epoch + 1, initial_epoch=epoch, shuffle=False, verbose=0,
                                   callbacks=[monitor])
        self.progress |= {"step": self.iterations_per_epoch,
                          "train_logs": {name: float(values[0]) for name, values in history.history.items()}}

    def finish_epoch(self, epoch):
        with averaged_weights(self.network):
            self.inference_model.set_weights(self.network.get_weights())
            logs = {**self.progress["train_logs"], **self.validate(self)}
        self._save_model(epoch + 1, logs["val_psnr"])
        return {**logs, "learning_rate": self.learning_rate(epoch)}

    def summary(self):
        return f"best PSNR = {self.progress['best_psnr']:.4f}: {self.workspace.folder}"

    def _save_model(self, epoch, psnr):
        best = self.progress["best_psnr"]
        is_best = best is None or psnr > best
        if is_best:
            self.progress["best_psnr"] = psnr
        if epoch > self.save_after_epoch and (is_best or not self.save_best_only):
            weights.save(self.inference_model, self.workspace.models_dir / f"epoch-{epoch:03d}-psnr-{psnr:.4f}.keras")


@contextlib.contextmanager
def averaged_weights(network):
    """Puts the moving average of the weights in place of the weights, where the optimizer keeps one (`--ema`)."""
    optimizer = getattr(network.optimizer, "inner_optimizer", network.optimizer)
    if not optimizer.use_ema:
        yield
        return
    variables = optimizer._trainable_variables
    trained = [keras.ops.convert_to_numpy(variable) for variable in variables]
    for variable, average in zip(variables, optimizer._model_variables_moving_average, strict=True):
        variable.assign(keras.ops.convert_to_numpy(average))  # a copy: JAX must not hold one array in two variables
    try:
        yield
    finally:
        for variable, value in zip(variables, trained, strict=True):
            variable.assign(value)
