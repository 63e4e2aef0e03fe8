"""Computations that must give the same on every Keras backend: forward passes and losses of training steps."""

from functools import partial
from pathlib import Path

import keras
import numpy as np

from model import discriminator, edsr, pixel_loss, sr_resnet, wdsr_a, wdsr_b
from optimizer import AdamWithWeightnorm
from super_resolution import SuperResolver
from tests.conftest import make_photo
from training.adversarial import DiscriminatorStep, GeneratorStep

GOLDEN = Path(__file__).parent / "golden.npz"
SIZES = ((1, 1), (1, 7), (5, 1), (2, 2), (9, 6))
NETWORKS = {
    "edsr-x2": partial(edsr, 2, 6, 2, 0.1),
    "edsr-x3": partial(edsr, 3, 6, 1),
    "edsr-gen-x4": partial(edsr, 4, 6, 1, tanh_activation=True),
    "wdsr-a-x4": partial(wdsr_a, 4, 6, 2),
    "wdsr-b-x3": partial(wdsr_b, 3, 6, 2),
    "wdsr-b-same-x2": partial(wdsr_b, 2, 6, 1, padding="same"),
    "sr-resnet-x4": partial(sr_resnet, 4, 6, 1),
}
TRAINED = {  # network, scale, optimizer, loss
    "edsr": (partial(edsr, 2, 8, 2), 2, keras.optimizers.Adam, "mae"),
    "wdsr-b": (partial(wdsr_b, 3, 8, 2, padding="valid"), 3, AdamWithWeightnorm, "mae"),
    "sr-resnet": (partial(sr_resnet, 4, 8, 1), 4, keras.optimizers.Adam, "mse"),
}


def set_weights(model, seed=0):
    """Gives `model` random weights that are the same on every backend."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        shape = tuple(variable.shape)
        if variable.name == "kernel":
            value = rng.normal(size=shape) / np.sqrt(np.prod(shape[:-1]))
        elif variable.name in ("gamma", "moving_variance"):
            value = rng.uniform(0.5, 1.5, size=shape)
        else:
            value = rng.normal(size=shape) * 0.1
        variable.assign(value.astype("float32"))


def forward_cases():
    """Returns name -> function that computes a super-resolved image (float32)."""
    def forward(build, size):
        model = build()
        set_weights(model)
        return SuperResolver(model)(make_photo(*size))

    return {f"{name}/{size[0]}x{size[1]}": partial(forward, build, size)
            for name, build in NETWORKS.items() for size in SIZES}


def loss_cases():
    """Returns name -> function that computes the losses of 20 training steps."""
    def losses(build, scale, optimizer, loss):
        model = build()
        set_weights(model)
        model.compile(optimizer(1e-3), loss=pixel_loss(loss), jit_compile=keras.backend.backend() == "jax")
        values = []
        for step in range(20):
            hr = np.stack([make_photo(16 * scale, 16 * scale, seed=7 * step + i) for i in range(4)])
            lr = hr.reshape(4, 16, scale, 16, scale, 3).mean(axis=(2, 4)).astype("float32")
            values.append(float(model.train_on_batch(lr, hr.astype("float32"))))
        return np.array(values)

    return {name: partial(losses, *case) for name, case in TRAINED.items()} | {"srgan": adversarial_losses}


def small_features():
    """Returns a network in place of VGG19's features."""
    image = keras.Input((None, None, 3))
    network = keras.Model(image, keras.layers.Conv2D(5, 3, activation="relu")(image))
    network.trainable = False
    return network


def adversarial_steps(generator):
    """Returns a compiled step of a small `generator` and one of its discriminator, on HR patches of 16 pixels."""
    networks = generator, discriminator(16, 2), small_features()
    for seed, network in enumerate(networks):
        set_weights(network, seed)
    steps = GeneratorStep(*networks), DiscriminatorStep(*networks[:2])
    for step in steps:
        step.compile(keras.optimizers.Adam(1e-3), jit_compile=keras.backend.backend() == "jax")
    return steps


def adversarial_losses():
    """Returns the losses of 10 steps of a generator; its discriminator's steps are between them."""
    generator_step, discriminator_step = adversarial_steps(sr_resnet(4, 6, 1))
    values = []
    for step in range(10):
        hr = np.stack([make_photo(16, 16, seed=7 * step + i) for i in range(4)]).astype("float32")
        lr, one = hr.reshape(4, 4, 4, 4, 4, 3).mean(axis=(2, 4)), np.ones((4, 1), "float32")
        discriminator_step.train_on_batch(lr, {"hr": hr, "real": one, "fake": 0 * one})
        values.append(float(generator_step.train_on_batch(lr, hr, return_dict=True)["generator_loss"]))
    return np.array(values)
