"""Networks as functions of arrays, compiled by an engine, in one piece or in two."""

import keras
import numpy as np
from keras import ops

from super_resolution.engines import send_back, to_array
from super_resolution.tiles import tiles


class ToBytes(keras.layers.Layer):
    """Rounds images half up to uint8, and says of each whether all of its values are finite numbers.

    A GPU does so faster than the host, and what it sends back is a quarter of the size.
    """

    def call(self, images):
        """Returns the images (N, H, W, 3) as uint8, and (N,), bool."""
        whole = ops.cast(ops.clip(ops.floor(images + 0.5), 0, 255), "uint8")
        return whole, ops.all(ops.isfinite(images), axis=(1, 2, 3))


def in_bytes(network):
    """Returns a network of images that ends with `ToBytes`; the weights are the same variables."""
    return keras.Model(network.inputs[0], ToBytes(dtype="float32")(network.outputs[0]))


def whole_network(model, compiled):
    """Returns a function that lets `model` begin with a batch of images, float32 (N, H, W, 3).

    That returns a function that waits for the result, float32 (N, H scale, W scale, 3); of a network `in_bytes`, for
    both of its results. `compiled` is what `engines.compiler` returned.
    """
    forward = compiled(model)

    def begin(batch):
        result = send_back(forward(batch))
        return lambda: _arrays(result)

    return begin


def cut_network(body, tail, compiled, scale, tail_size, tail_halo, is_sent=False):
    """Returns a function as `whole_network` does, of a network in two parts.

    Args:
        body: maps images to feature maps of the same height and width.
        tail: maps feature maps to images of `scale` times the size, perhaps `in_bytes`; it is applied in tiles.
        compiled: as for `whole_network`.
        tail_size: of the tiles, in LR pixels.
        tail_halo: LR pixels.
        is_sent: let the device have all of the work at once, and keep all tiles there until they are waited for.
    """
    features_of, image_of = compiled(body), compiled(tail)

    def begin(batch):
        parts = pieces(batch)
        if is_sent:
            parts = list(parts)
        return lambda: joined(batch.shape, parts)

    def pieces(batch):
        features = features_of(batch)
        for rows, columns in tiles(batch.shape[1:], tail_size, tail_halo):
            yield rows, columns, send_back(image_of(features[:, rows.window(), columns.window()]))

    def joined(shape, parts):
        sr, are_finite = None, True
        for rows, columns, result in parts:
            tile = _arrays(result)
            if isinstance(tile, tuple):
                tile, of_tile = tile
                are_finite = are_finite & of_tile
            if sr is None:
                sr = np.empty((shape[0], shape[1] * scale, shape[2] * scale, 3), tile.dtype)
            sr[:, rows.part(scale), columns.part(scale)] = tile[
                :, rows.part_of_window(scale), columns.part_of_window(scale)]
        return sr if are_finite is True else (sr, are_finite)

    return begin


def _arrays(result):
    """Returns the array of a network's result; a tuple of two where it is that of a network `in_bytes`."""
    return tuple(map(to_array, result)) if isinstance(result, list | tuple) else to_array(result)
