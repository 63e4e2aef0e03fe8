"""Computations that must give the same on every Keras backend: forward passes and losses of training steps."""

from functools import partial
from pathlib import Path

import keras
import numpy as np

from model import edsr, pixel_loss, sr_resnet, wdsr_a, wdsr_b
from optimizer import AdamWithWeightnorm
from super_resolution import SuperResolver
from tests.conftest import make_photo

GOLDEN = Path(__file__).parent / "golden.npz"
SIZES = ((1, 1), (1, 7), (5, 1), (2, 2), (9, 6))
NETWORKS = {
    "edsr-x2": partial(edsr, 2, 6, 2, 0.1),
    "edsr-x3": partial(edsr, 3, 6, 1),
    "edsr-gen-x4": partial(edsr, 4, 6, 1, tanh_activation=True),
    "wdsr-a-x4": partial(wdsr_a, 4, 6, 2),
    "wdsr-b-x3": partial(wdsr_b, 3, 6, 2),
    "wdsr-b-same-x2": partial(wdsr_b, 2, 6, 1, padding="same"),
    "sr-resnet-x4": partial(sr_resnet, 6, 1),
}
TRAINED = {  # network, scale, optimizer, loss
    "edsr": (partial(edsr, 2, 8, 2), 2, keras.optimizers.Adam, "mae"),
    "wdsr-b": (partial(wdsr_b, 3, 8, 2, padding="valid"), 3, AdamWithWeightnorm, "mae"),
    "sr-resnet": (partial(sr_resnet, 8, 1), 4, keras.optimizers.Adam, "mse"),
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

    return {name: partial(losses, *case) for name, case in TRAINED.items()}
