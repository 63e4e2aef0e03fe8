"""Networks as functions of arrays, compiled as the Keras backend has it, in one piece or in two."""

import functools

import keras
import numpy as np

from super_resolution.tiles import tiles


def on_gpu():
    """Whether the Keras backend computes on a GPU, which goes on while the host does something else."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return bool(tf.config.list_physical_devices("GPU"))
    if backend == "jax":
        import jax

        return jax.default_backend() != "cpu"
    import torch

    return torch.cuda.is_available()


def whole_network(model):
    """Returns a function that lets `model` begin with a batch of images, float32 (N, H, W, 3).

    That returns a function that waits for the result, float32 (N, H scale, W scale, 3).
    """
    forward = _compile(model)

    def begin(batch):
        sr = forward(batch)
        return lambda: _to_array(sr)

    return begin


def cut_network(body, tail, scale, tail_size, tail_halo, is_sent=False):
    """Returns a function as `whole_network` does, of a network in two parts.

    Args:
        body: maps images to feature maps of the same height and width.
        tail: maps feature maps to images of `scale` times the size; it is applied in tiles.
        tail_size: of the tiles, in LR pixels.
        tail_halo: LR pixels.
        is_sent: let the device have all of the work at once, and keep all tiles there until they are waited for.
    """
    features_of, image_of = _compile(body), _compile(tail)

    def begin(batch):
        parts = pieces(batch)
        if is_sent:
            parts = list(parts)
        return lambda: joined(batch.shape, parts)

    def pieces(batch):
        features = features_of(batch)
        for rows, columns in tiles(batch.shape[1:], tail_size, tail_halo):
            yield rows, columns, image_of(features[:, rows.window(), columns.window()])

    def joined(shape, parts):
        sr = np.empty((shape[0], shape[1] * scale, shape[2] * scale, 3), np.float32)
        for rows, columns, tile in parts:
            sr[:, rows.part(scale), columns.part(scale)] = _to_array(tile)[
                :, rows.part_of_window(scale), columns.part_of_window(scale)]
        return sr

    return begin


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
