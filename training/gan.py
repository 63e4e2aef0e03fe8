"""Adversarial training of a generator, as SRGAN."""

import contextlib
import math
import sys

import keras
import numpy as np

from model import build_network, discriminator
from training.adversarial import DiscriminatorStep, GeneratorStep
from training.distribution import Devices
from training.loop import Training
from training.networks import averaged_weights, chosen_jit, computing_in

# The discriminator has nothing left to learn once its loss is no further than this above the least possible one.
WON = 0.02


def build_gan(generator_name, scale, *, num_filters, num_res_blocks, hr_patch_size, discriminator_filters,
              precision="float32", devices=None):
    """Returns the float32 generator for inference, and the generator and the discriminator for training.

    Args:
        generator_name: key of `model.NETWORKS`, a network that ends in tanh.
        scale: 2, 3, 4 or 8.
        num_filters, num_res_blocks: of the generator.
        hr_patch_size: HR pixels.
        discriminator_filters: filters of the discriminator's first layer.
        precision: in which the training computes, a key of `POLICIES`.
        devices: `Devices` on which they are trained; by default one.
    """
    size = {"num_filters": num_filters, "num_res_blocks": num_res_blocks}
    inference_model = build_network(generator_name, scale, **size)
    with computing_in(precision), (devices or Devices()).scope():
        generator = build_network(generator_name, scale, **size)
        judge = discriminator(hr_patch_size, discriminator_filters)
    return inference_model, generator, judge


def compile_gan(generator, judge, features, learning_rates, ema=None, jit_compile="auto", devices=None):
    """Returns the compiled `GeneratorStep` and `DiscriminatorStep`, with all variables of their optimizers.

    Args:
        generator: network for training.
        judge: the discriminator.
        features: VGG19 network of the content loss, on the same devices.
        learning_rates: schedule of 'generator' and of 'discriminator', functions of the step.
        ema: momentum of the moving average of the generator's weights, None for no average.
        jit_compile: 'auto', 'yes' or 'no', see `training.networks.chosen_jit`.
        devices: `Devices` on which the networks were built; by default one.
    """
    averages = {} if ema is None else {"generator": {"use_ema": True, "ema_momentum": ema}}
    with (devices or Devices()).scope():
        steps = {"generator": GeneratorStep(generator, judge, features),
                 "discriminator": DiscriminatorStep(generator, judge)}
        for name, step in steps.items():
            adam = keras.optimizers.Adam(learning_rates[name], name=f"{name}_adam", **averages.get(name, {}))
            step.compile(adam, jit_compile=chosen_jit(jit_compile))
            step.optimizer.build(step.trainable_variables)
    return steps["generator"], steps["discriminator"]


def gan_variables(generator_step, discriminator_step):
    """Returns the variables of both networks and optimizers by group."""
    return {"generator": generator_step.generator.variables,
            "discriminator": discriminator_step.discriminator.variables,
            "generator_optimizer": generator_step.optimizer.variables,
            "discriminator_optimizer": discriminator_step.optimizer.variables}


class GANTraining(Training):
    """Trains a generator and a discriminator in turn, a step each.

    Args:
        generator_step: compiled `GeneratorStep`.
        discriminator_step: compiled `DiscriminatorStep`.
        inference_model: float32 generator, which is validated and saved.
        sequence: `PatchSequence` of training patches.
        validate: `PerceptualValidation`.
        learning_rates: schedule of 'generator' and of 'discriminator', functions of the step.
        label_noise: labels of real images are drawn from [1 - noise, 1], those of fakes from [0, noise].
        seed: of the labels.
        won_advice: what may help where the discriminator has won, the end of that warning.
        kwargs: of `Training`.
    """

    history_file = "losses.csv"
    learning_rate_name = "generator_learning_rate"
    figure = "val_vgg54"
    figure_name = "VGG54 distance"
    lower_is_better = True

    def __init__(self, generator_step, discriminator_step, inference_model, sequence, validate, learning_rates, *,
                 label_noise, seed, won_advice="try a lower learning rate of the discriminator", **kwargs):
        super().__init__(inference_model, sequence, learning_rates["generator"], **kwargs)
        self.learning_rates = learning_rates
        self.generator_step = generator_step
        self.discriminator_step = discriminator_step
        self.validate = validate
        self.label_noise = label_noise
        self.seed = seed
        self.won_advice = won_advice

    def variables(self):
        return gan_variables(self.generator_step, self.discriminator_step)

    def run_steps(self, epoch):
        first, count = self.progress.step, self.iterations_per_epoch
        number = epoch * count + first
        self.sequence.window(number, count - first)
        with contextlib.closing(self.step_meter(epoch, first)) as meter:
            for i in range(count - first):
                figures = self.step(*self.sequence[i], number + i)
                self._add(figures, epoch, first + i + 1)
                meter.advance(figures["generator_loss"])
                if first + i + 1 < count:  # at the end of the epoch the loop itself looks for a signal
                    self.check()
        self.end_steps(self.progress.train_logs)

    def step(self, lr, hr, number):
        """Does a step of the discriminator and one of the generator; returns their figures.

        Args:
            lr, hr: this process's part of a batch of patches, (N, h, w, 3) and (N, h scale, w scale, 3), any N.
            number: of the step since the training began, which the labels are a function of.
        """
        lr, hr = lr.astype("float32"), hr.astype("float32")
        part, num_parts = self.devices.part
        shape = (2, num_parts, len(lr), 1)  # of the labels of the whole batch
        noise = self.label_noise * np.random.default_rng((self.seed, 2, number)).random(shape, np.float32)[:, part]
        labels = {"hr": hr, "real": 1 - noise[0], "fake": noise[1]}
        with self.devices.scope():
            logs = self.discriminator_step.train_on_batch(lr, labels, return_dict=True)
            logs |= self.generator_step.train_on_batch(lr, hr, return_dict=True)
        return {name: float(logs[name]) for name in GeneratorStep.FIGURES + DiscriminatorStep.FIGURES}

    def finish_epoch(self, epoch):
        with averaged_weights(self.generator_step):
            self.inference_model.set_weights(self.generator_step.generator.get_weights())
        logs = {name: total / self.iterations_per_epoch for name, total in self.progress.train_logs.items()}
        logs |= self.validate(self.super_resolve, self.watched)
        self._warn(logs["discriminator_loss_real"] + logs["discriminator_loss_fake"])
        step = epoch * self.iterations_per_epoch
        return logs | {f"{name}_learning_rate": float(keras.ops.convert_to_numpy(schedule(step)))
                       for name, schedule in self.learning_rates.items()}

    def model_name(self, row):
        return f"generator-epoch-{row['epoch']:03d}.keras"

    def summary(self):
        last = self.progress.history[-1]
        return f"PSNR = {last['val_psnr']:.4f}, VGG54 distance = {last['val_vgg54']:.4f}: {self.workspace.folder}"

    def _add(self, figures, epoch, step):
        totals = self.progress.train_logs or dict.fromkeys(figures, 0.0)
        self.progress.train_logs = {name: totals[name] + figures[name] for name in figures}
        self.progress.step = step
        for value in figures.values():
            if not math.isfinite(value):
                self.fail_on_loss(value, epoch, step)
        if self.is_row_due(epoch, step):
            self.record(epoch, step, self.progress.train_logs)

    def _warn(self, loss):
        if loss < 2 * label_entropy(self.label_noise) + WON:
            print(f"warning: the discriminator has won (its loss is {loss:.4f}), and the generator learns little from "
                  f"it: {self.won_advice}", file=sys.stderr)


def label_entropy(noise):
    """Returns the least mean cross-entropy with labels that are uniform in [0, noise]."""
    label = noise * (np.arange(1000) + 0.5) / 1000
    entropy = -label * np.log(np.maximum(label, 1e-30)) - (1 - label) * np.log(np.maximum(1 - label, 1e-30))
    return float(entropy.mean())
