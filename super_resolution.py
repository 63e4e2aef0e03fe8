"""Super-resolving an image with a network."""

import functools

import keras
import numpy as np

from model import model_scale, receptive_radius
from options import UserError

SMALLEST_TILE = 192  # LR pixels
TILE_HALOS = 6  # the tile's default size: 4 x 4 of its 6 x 6 halos are new


class SuperResolver:
    """Applies a network to images of any size, whole or in tiles; the result is the same.

    Tiles are windows that slide inside the image and overlap by the halo, the reach of the network, so that what is
    taken from each is what the whole image would give. TensorFlow compiles the network once. JAX compiles it for each
    size of its input, and therefore always works in tiles; images smaller than a tile are compiled once for each size.

    Args:
        model: a network of images.
        tile_size: LR pixels, more than twice the halo; None for whole images (on JAX, for a size that fits).
    """

    def __init__(self, model, tile_size=None):
        self.model = model
        self.scale = model_scale(model)
        backend = keras.backend.backend()
        if tile_size is not None or backend == "jax":
            self.halo = receptive_radius(model)
            tile_size = tile_size or max(SMALLEST_TILE, TILE_HALOS * self.halo)
            if tile_size <= 2 * self.halo:
                raise UserError(f"tile size {tile_size} is too small for {model.name}: more than "
                                f"{2 * self.halo} pixels are needed")
        self.tile_size = tile_size
        self._forward = _FORWARD[backend](model)

    def take_over(self, model):
        """Takes the weights of `model` if it is the same network, so that nothing is compiled anew.

        Returns:
            Whether it is the same network.
        """
        if model.get_config() != self.model.get_config():
            return False
        self.model.set_weights(model.get_weights())
        return True

    def __call__(self, lr):
        """Returns the super-resolved image (H scale, W scale, 3), float32, neither clipped nor rounded.

        Args:
            lr: image (H, W, 3) in [0, 255].
        """
        lr, scale = np.asarray(lr, np.float32), self.scale
        height, width = lr.shape[:2]
        if self.tile_size is None or max(height, width) <= self.tile_size:
            return self._whole(lr)
        sr = np.empty((height * scale, width * scale, 3), np.float32)
        for y, y_end, top, bottom in tile_spans(height, self.tile_size, self.halo):
            for x, x_end, left, right in tile_spans(width, self.tile_size, self.halo):
                tile = self._whole(lr[y:y_end, x:x_end])
                sr[top * scale:bottom * scale, left * scale:right * scale] = tile[
                    (top - y) * scale:(bottom - y) * scale, (left - x) * scale:(right - x) * scale]
        return sr

    def _whole(self, lr):
        return np.asarray(self._forward(lr[None])[0])


class SelfEnsemble:
    """The mean over the 8 flips and rotations of an image, each turned back (EDSR paper, section 3.4)."""

    def __init__(self, super_resolve):
        self.super_resolve, self.scale = super_resolve, super_resolve.scale

    def __call__(self, lr):
        """Returns the super-resolved image of `lr`, as the `SuperResolver` does."""
        total = 0
        for flip in (False, True):
            for quarters in range(4):
                turned = np.rot90(lr[:, ::-1] if flip else lr, quarters)
                sr = np.rot90(self.super_resolve(turned), -quarters)
                total = total + (sr[:, ::-1] if flip else sr)
        return total / 8


def tile_spans(size, tile_size, halo):
    """Cuts an axis of `size` pixels into tiles.

    Returns:
        A list of (start, end, first, last): the window [start, end), `tile_size` long or the whole axis where that
        is shorter, and the part [first, last) that is taken from it, at least `halo` from an end that is not the
        axis's own. The parts cover the axis without overlap.
    """
    if size <= tile_size:
        return [(0, size, 0, size)]
    spans, first = [], 0
    while first < size:
        start = min(max(first - halo, 0), size - tile_size)
        end = start + tile_size
        last = size if end == size else end - halo
        spans.append((start, end, first, last))
        first = last
    return spans


def _tensorflow_forward(model):
    import tensorflow as tf

    # A partial, since TensorFlow counts the graphs of one function, and would warn when many networks are loaded.
    return tf.function(functools.partial(model, training=False),
                       input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32)])


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
