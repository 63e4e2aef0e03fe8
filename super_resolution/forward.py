"""Networks as functions of arrays, compiled by an engine, in one piece or in two."""

import numpy as np

from super_resolution.engines import to_array
from super_resolution.tiles import tiles


def whole_network(model, compiled):
    """Returns a function that lets `model` begin with a batch of images, float32 (N, H, W, 3).

    That returns a function that waits for the result, float32 (N, H scale, W scale, 3). `compiled` is what
    `engines.compiler` returned.
    """
    forward = compiled(model)

    def begin(batch):
        sr = forward(batch)
        return lambda: to_array(sr)

    return begin


def cut_network(body, tail, compiled, scale, tail_size, tail_halo, is_sent=False):
    """Returns a function as `whole_network` does, of a network in two parts.

    Args:
        body: maps images to feature maps of the same height and width.
        tail: maps feature maps to images of `scale` times the size; it is applied in tiles.
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
            yield rows, columns, image_of(features[:, rows.window(), columns.window()])

    def joined(shape, parts):
        sr = np.empty((shape[0], shape[1] * scale, shape[2] * scale, 3), np.float32)
        for rows, columns, tile in parts:
            sr[:, rows.part(scale), columns.part(scale)] = to_array(tile)[
                :, rows.part_of_window(scale), columns.part_of_window(scale)]
        return sr

    return begin
