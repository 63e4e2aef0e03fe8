"""Super-resolving an image with a network."""

import keras
import numpy as np

from model import model_scale


class SuperResolver:
    """Applies a network to images of any size. The network is compiled once, on JAX once for each size."""

    def __init__(self, model):
        self.model = model
        self.scale = model_scale(model)
        self._forward = _FORWARD[keras.backend.backend()](model)

    def __call__(self, lr):
        """Returns the super-resolved image (H scale, W scale, 3), float32, neither clipped nor rounded.

        Args:
            lr: image (H, W, 3) in [0, 255].
        """
        return np.asarray(self._forward(np.asarray(lr, np.float32)[None])[0])


def _tensorflow_forward(model):
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32)])
    def forward(lr):
        return model(lr, training=False)

    return forward


def _jax_forward(model):
    import jax

    @jax.jit
    def forward(trainable, non_trainable, lr):
        return model.stateless_call(trainable, non_trainable, lr, training=False)[0]

    def call(lr):
        return forward([v.value for v in model.trainable_variables], [v.value for v in model.non_trainable_variables],
                       lr)

    return call


def _torch_forward(model):
    import torch

    def forward(lr):
        with torch.inference_mode():
            return keras.ops.convert_to_numpy(model(lr, training=False))

    return forward


_FORWARD = {"tensorflow": _tensorflow_forward, "jax": _jax_forward, "torch": _torch_forward}
