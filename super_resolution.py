"""Super-resolving an image with a network."""

import functools

import keras
import numpy as np

from imaging.image_files import to_uint8
from model import largest_layer, model_scale, receptive_radius
from options import UserError

JAX_TILE = 192  # LR pixels, at least
TILE_HALOS = 6  # a tile is at least that many halos wide: 4 x 4 of its 6 x 6 are new
LAYER_COPIES = 4  # of the largest layer's output that a forward pass holds at once, inputs and workspace included


class SuperResolver:
    """Applies a network to images of any size, whole or in tiles; the result is the same.

    Tiles are windows that slide inside the image and overlap by the halo, the reach of the network, so that what is
    taken from each is what the whole image would give. TensorFlow compiles the network once. JAX compiles it for each
    size of its input, and therefore always works in tiles; images smaller than a tile are compiled once for each size.
    A network with layers whose reach is not known gets whole images.

    Args:
        model: a network of images.
        tile_size: LR pixels, more than twice the halo. By default whole images are taken (on JAX tiles that fit), or
            what `memory` allows.
        memory: MiB that the network's layers may take at once; it chooses a tile size, but not one that is too small
            to be worth its halo.
        self_ensemble: return the mean over the 8 flips and rotations of an image, each turned back (EDSR paper,
            section 3.4).
    """

    def __init__(self, model, tile_size=None, memory=None, self_ensemble=False):
        self.model, self.self_ensemble = model, self_ensemble
        self.scale = model_scale(model)
        backend = keras.backend.backend()
        self.halo, self.tile_size = 0, tile_size
        if tile_size or memory or backend == "jax":
            self._choose_tiles(memory)
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
        sr = np.empty((lr.shape[0] * self.scale, lr.shape[1] * self.scale, 3), np.float32)
        for rows, columns, part in self.parts(lr):
            sr[rows, columns] = part
        return sr

    def to_uint8(self, lr, progress=lambda parts: parts):
        """Returns the super-resolved image of `lr`, rounded to uint8, with no other copy of it in memory.

        Args:
            lr: image (H, W, 3) in [0, 255].
            progress: wraps the iterator of the image's parts, (rows, columns, pixels), to show how far it is.
        """
        sr = np.empty((lr.shape[0] * self.scale, lr.shape[1] * self.scale, 3), np.uint8)
        for rows, columns, part in progress(self.parts(lr)):
            sr[rows, columns] = to_uint8(part)
        return sr

    def parts(self, lr):
        """Yields the super-resolved image part by part: the slices of its rows and columns, and their pixels."""
        (height, width), scale = lr.shape[:2], self.scale
        size = self.tile_size or max(height, width)
        for y, y_end, top, bottom in tile_spans(height, size, self.halo):
            for x, x_end, left, right in tile_spans(width, size, self.halo):
                sr = self._tile(np.asarray(lr[y:y_end, x:x_end], np.float32))
                yield (slice(top * scale, bottom * scale), slice(left * scale, right * scale),
                       sr[(top - y) * scale:(bottom - y) * scale, (left - x) * scale:(right - x) * scale])

    def _tile(self, lr):
        if not self.self_ensemble:
            return self._once(lr)
        total = 0
        for flip in (False, True):
            for quarters in range(4):
                sr = np.rot90(self._once(np.rot90(lr[:, ::-1] if flip else lr, quarters)), -quarters)
                total = total + (sr[:, ::-1] if flip else sr)
        return total / 8

    def _once(self, lr):
        return np.asarray(self._forward(lr[None])[0])

    def _choose_tiles(self, memory):
        try:
            self.halo = receptive_radius(self.model)
        except UserError:
            if self.tile_size:
                raise
            return  # a reach that is not known: whole images
        self.tile_size = self.tile_size or self._default_tile_size(memory)
        if self.tile_size <= 2 * self.halo:
            raise UserError(f"tile size {self.tile_size} is too small for {self.model.name}: more than "
                            f"{2 * self.halo} pixels are needed")

    def _default_tile_size(self, memory):
        if not memory:
            return max(JAX_TILE, TILE_HALOS * self.halo)
        pixels = memory * 2**20 / (LAYER_COPIES * largest_layer(self.model))
        return max(int(pixels**0.5), 4 * self.halo)


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
