"""Adversarial training of a generator, as SRGAN."""

import math
import sys

import keras
import numpy as np
from keras.optimizers import schedules
from tqdm import tqdm

import weights
from model import build_network, discriminator
from super_resolution import SuperResolver
from training.adversarial import DiscriminatorStep, GeneratorStep
from training.loop import Training
from training.networks import POLICIES, jit_compile
from training.perceptual import load_features

WON = 0.02  # loss of the discriminator above the least possible one, at and below which nothing is left to learn


def learning_rate_schedules(args):
    """Returns the learning rates of both networks as functions of the step."""
    return {name: schedules.ExponentialDecay(learning_rate, args.learning_rate_step_size * args.iterations_per_epoch,
                                             args.learning_rate_decay, staircase=True)
            for name, learning_rate in (("generator", args.generator_learning_rate),
                                        ("discriminator", args.discriminator_learning_rate))}


def build_gan(args, learning_rates):
    """Returns the float32 generator for inference, and the compiled `GeneratorStep` and `DiscriminatorStep`.

    `learning_rates` are `learning_rate_schedules`.
    """
    size = {"num_filters": args.num_filters, "num_res_blocks": args.num_res_blocks}
    inference = build_network(args.generator, args.scale, **size)
    keras.config.set_dtype_policy(POLICIES[args.precision])
    generator = build_network(args.generator, args.scale, **size)
    judge = discriminator(args.hr_patch_size, args.discriminator_filters)
    features = load_features(args.content_loss, args.vgg_weights)
    keras.config.set_dtype_policy("float32")
    generator_step, discriminator_step = GeneratorStep(generator, judge, features), DiscriminatorStep(generator, judge)
    for step, name in ((generator_step, "generator"), (discriminator_step, "discriminator")):
        step.compile(keras.optimizers.Adam(learning_rates[name], name=f"{name}_adam"), jit_compile=jit_compile())
        step.optimizer.build(step.trainable_variables)
    return inference, generator_step, discriminator_step


class GANTraining(Training):
    """Trains a generator and a discriminator in turn, a step each.

    Args:
        generator_step: compiled `GeneratorStep`.
        discriminator_step: compiled `DiscriminatorStep`.
        inference_model: float32 generator, which is validated and saved.
        sequence: `PatchSequence` of training patches.
        validate: `PerceptualValidation`.
        learning_rates: `learning_rate_schedules`.
        label_noise: labels of real images are drawn from [1 - noise, 1], those of fakes from [0, noise].
        seed: of the labels.
        kwargs: of `Training`.
    """

    history_file = "losses.csv"
    loss_advice = "a lower --generator-learning-rate or --discriminator-learning-rate may help"

    def __init__(self, generator_step, discriminator_step, inference_model, sequence, validate, learning_rates, *,
                 label_noise, seed, **kwargs):
        super().__init__(inference_model, sequence, learning_rates["generator"], **kwargs)
        self.learning_rates = learning_rates
        self.generator_step, self.discriminator_step = generator_step, discriminator_step
        self.super_resolve, self.validate = SuperResolver(inference_model), validate
        self.label_noise, self.seed = label_noise, seed

    def variables(self):
        return {"generator": self.generator_step.generator.variables,
                "discriminator": self.discriminator_step.discriminator.variables,
                "generator_optimizer": self.generator_step.optimizer.variables,
                "discriminator_optimizer": self.discriminator_step.optimizer.variables}

    def run_steps(self, epoch):
        first, count = self.progress["step"], self.iterations_per_epoch
        number, batch_size = epoch * count + first, self.sequence.batch_size
        self.sequence.window(number, count - first)
        with tqdm(total=count * batch_size, initial=first * batch_size, desc=f"epoch {epoch + 1}/{self.epochs}",
                  unit="image", leave=False, disable=None) as bar:
            for i in range(count - first):
                figures = self.step(*self.sequence[i], number + i)
                self._add(figures, epoch, first + i + 1)
                bar.set_postfix_str(f"loss {figures['generator_loss']:.4f}", refresh=False)
                bar.update(batch_size)
                if first + i + 1 < count:  # at the end of the epoch the loop itself looks for a signal
                    self.interrupts.check()

    def step(self, lr, hr, number):
        """Does a step of the discriminator and one of the generator; returns their figures.

        Args:
            lr, hr: batch of patches (N, h, w, 3) and (N, h scale, w scale, 3), any N.
            number: of the step since the training began, which the labels are a function of.
        """
        lr, hr = lr.astype("float32"), hr.astype("float32")
        noise = self.label_noise * np.random.default_rng((self.seed, 2, number)).random((2, len(lr), 1), np.float32)
        labels = {"hr": hr, "real": 1 - noise[0], "fake": noise[1]}
        logs = self.discriminator_step.train_on_batch(lr, labels, return_dict=True)
        logs |= self.generator_step.train_on_batch(lr, hr, return_dict=True)
        return {name: float(logs[name]) for name in GeneratorStep.FIGURES + DiscriminatorStep.FIGURES}

    def finish_epoch(self, epoch):
        self.inference_model.set_weights(self.generator_step.generator.get_weights())
        logs = {name: total / self.iterations_per_epoch for name, total in self.progress["train_logs"].items()}
        logs |= self.validate(self.super_resolve, self.interrupts.watched)
        weights.save(self.inference_model, self.workspace.models_dir / f"generator-epoch-{epoch + 1:03d}.keras")
        self._warn(logs["discriminator_loss_real"] + logs["discriminator_loss_fake"])
        step = epoch * self.iterations_per_epoch
        return logs | {f"{name}_learning_rate": float(keras.ops.convert_to_numpy(schedule(step)))
                       for name, schedule in self.learning_rates.items()}

    def summary(self):
        last = self.progress["history"][-1]
        return f"PSNR = {last['val_psnr']:.4f}, VGG54 distance = {last['val_vgg54']:.4f}: {self.workspace.folder}"

    def _add(self, figures, epoch, step):
        totals = self.progress["train_logs"] or dict.fromkeys(figures, 0.0)
        self.progress |= {"step": step, "train_logs": {name: totals[name] + figures[name] for name in figures}}
        for value in figures.values():
            if not math.isfinite(value):
                self.fail_on_loss(value, epoch, step)

    def _warn(self, loss):
        if loss < 2 * label_entropy(self.label_noise) + WON:
            print(f"warning: the discriminator has won (its loss is {loss:.4f}), and the generator learns little from "
                  "it: try a lower --discriminator-learning-rate or more --label-noise", file=sys.stderr)


def label_entropy(noise):
    """Returns the least mean cross-entropy with labels that are uniform in [0, noise]."""
    label = noise * (np.arange(1000) + 0.5) / 1000
    entropy = -label * np.log(np.maximum(label, 1e-30)) - (1 - label) * np.log(np.maximum(1 - label, 1e-30))
    return float(entropy.mean())
