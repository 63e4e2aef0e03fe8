"""Networks as functions of arrays, compiled as the Keras backend has it, in one piece or in two."""

import functools

import keras
import numpy as np

from super_resolution.tiles import tiles


def whole_network(model):
    """Returns a function that applies `model` to an image (H, W, 3): float32 in, float32 (H scale, W scale, 3) out."""
    forward = _compile(model)
    return lambda lr: _to_array(forward(lr[None])[0])


def cut_network(body, tail, scale, tail_size, tail_halo):
    """Returns a function as `whole_network` does, of a network in two parts.

    Args:
        body: maps images to feature maps of the same height and width.
        tail: maps feature maps to images of `scale` times the size; it is applied in tiles.
        tail_size: of the tiles, in LR pixels.
        tail_halo: LR pixels.
    """
    features_of, image_of = _compile(body), _compile(tail)

    def forward(lr):
        sr = np.empty((lr.shape[0] * scale, lr.shape[1] * scale, 3), np.float32)
        features = features_of(lr[None])
        for rows, columns in tiles(lr.shape, tail_size, tail_halo):
            tile = _to_array(image_of(features[:, rows.window(), columns.window()])[0])
            sr[rows.part(scale), columns.part(scale)] = tile[rows.part_of_window(scale), columns.part_of_window(scale)]
        return sr

    return forward


def _compile(model):
    """Returns `model` as a function of a batch that returns the backend's tensor, compiled where the backend can."""
    return {"tensorflow": _tensorflow_forward, "jax": _jax_forward, "torch": _torch_forward}[
        keras.backend.backend()](model)


def _to_array(tensor):
    """Returns a backend's tensor as an array, on the CPU of TensorFlow and JAX without a copy."""
    return keras.ops.convert_to_numpy(tensor) if keras.backend.backend() == "torch" else np.asarray(tensor)


def _tensorflow_forward(model):
    import tensorflow as tf

    batch = model.inputs[0]
    # A partial, since TensorFlow counts the graphs of one function, and would warn when many networks are loaded.
    return tf.function(functools.partial(model, training=False),
                       input_signature=[tf.TensorSpec((None, None, None, batch.shape[-1]), batch.dtype)])


def _jax_forward(model):
    import jax

    @jax.jit
    def forward(trainable, non_trainable, batch):
        return model.stateless_call(trainable, non_trainable, batch, training=False)[0]

    def call(batch):
        return forward([v.value for v in model.trainable_variables], [v.value for v in model.non_trainable_variables],
                       batch)

    return call


def _torch_forward(model):
    import torch

    def forward(batch):
        with torch.inference_mode():
            return model(batch, training=False)

    return forward
