"""Tiles: windows that slide inside an image and overlap by the halo, and the part that is taken from each."""

import math
from typing import NamedTuple

import keras

from errors import UserError

COPIES = 5.5  # of the largest layer's output that a forward pass holds at most at once: measured, 2 to 5.5
MEMORY = 768  # MiB for a network's layers
MEMORY_AT_ONCE = 4096  # MiB for a network's layers on a GPU, which computes several tiles at once
MOST_AT_ONCE = 64  # tiles or images, which are all read before the first of them is done
MEMORY_OF_WEIGHTS = 16  # times the size of the weights, where that is more: see `default_memory`


# LR pixels. Of a network that looks twice as far and more, what is beyond hardly counts (Real-ESRGAN's tiles overlap by
# 10): it is left out where tiles with all of the halo would be too large. RRDB with 23 blocks looks 349 pixels far, and
# its exact tiles would take 8 GB.
NEAR = 64


class Span(NamedTuple):
    """A tile along one axis: its window [start, end), and the part [first, last) that is taken from it."""

    start: int
    end: int
    first: int
    last: int

    def window(self):
        """Returns the slice of the image that the tile sees."""
        return slice(self.start, self.end)

    def part(self, scale=1):
        """Returns the slice of the (enlarged) image that is taken from the tile."""
        return slice(self.first * scale, self.last * scale)

    def part_of_window(self, scale=1):
        """Returns the slice of the (enlarged) window that is taken from it."""
        return slice((self.first - self.start) * scale, (self.last - self.start) * scale)


def tile_spans(size, tile_size, halo, grid=1):
    """Cuts an axis of `size` pixels into tiles, which begin at multiples of `grid`; tile size and halo are such.

    Returns:
        A list of `Span`: the window is `tile_size` long, or the whole axis where that is shorter (the last one is
        shorter by less than `grid` where the axis is no multiple of it); the part is at least
        `halo` from an end that is not the axis's own. The parts cover the axis without overlap.
    """
    if size <= tile_size:
        return [Span(0, size, 0, size)]
    spans, first = [], 0
    while first < size:
        start = min(max(first - halo, 0), rounded_up(size - tile_size, grid))
        end = min(start + tile_size, size)
        last = size if end == size else end - halo
        spans.append(Span(start, end, first, last))
        first = last
    return spans


def rounded_up(size, grid):
    """Returns the smallest multiple of `grid` that is at least `size`."""
    return -(-size // grid) * grid


def tiles(shape, tile_size, halo, grid=1):
    """Yields the `Span`s of rows and columns of every tile of an image (H, W, ...); None: the whole image is one.

    Where a new size is not compiled anew, tiles are no larger than needed for their number.
    """
    axes = []
    for size in shape[:2]:
        axis_tile = rounded_up(tile_size or size, grid)
        if size > axis_tile and keras.backend.backend() != "jax":
            axis_tile = rounded_up(even_tile_size(size, axis_tile, halo), grid)
        axes.append(tile_spans(size, axis_tile, halo, grid))
    for rows in axes[0]:
        for columns in axes[1]:
            yield rows, columns


def grouped(items, size_of, num_at_once):
    """Yields items in lists of neighbours of one size, each as soon as it is full.

    Where a new size of a batch is compiled anew, those that are too few for a full one are alone.

    Args:
        items: tiles or images.
        size_of: function of an item; None: it is alone.
        num_at_once: function of a size: how many are a full list.
    """
    group, size = [], None
    for item in items:
        last, size = size, size_of(item)
        if group and size != last:
            yield from _whole_or_single(group, num_at_once(last))
            group = []
        group.append(item)
        if size is None or len(group) == num_at_once(size):
            yield group
            group = []
    if group:
        yield from _whole_or_single(group, num_at_once(size))


def window_size(tile):
    """Returns the height and width of what a tile, a pair of `Span`s, sees."""
    return tuple(span.end - span.start for span in tile)


def _whole_or_single(group, num_at_once):
    if len(group) < num_at_once and keras.backend.backend() == "jax":
        return [[tile] for tile in group]
    return [group]


def tiles_at_once(num_pixels, pixel_bytes):
    """Returns how many tiles or images of so many LR pixels a GPU computes at once."""
    return min(MOST_AT_ONCE, max(1, int(MEMORY_AT_ONCE * 2**20 / (COPIES * pixel_bytes * num_pixels))))


def even_tile_size(size, tile_size, halo):
    """Returns the smallest tile of which no more are needed for an axis of `size` pixels than of `tile_size`."""
    num_tiles = math.ceil((size - 2 * halo) / (tile_size - 2 * halo))
    return math.ceil((size - 2 * halo) / num_tiles) + 2 * halo


def useful_halo(halo, largest):
    """Returns the halo of tiles that may be `largest` LR pixels wide, None where nothing limits them: that of the
    network, or `NEAR` where it is far more and too much for such tiles."""
    return NEAR if halo > 2 * NEAR and largest is not None and largest <= 2 * halo else halo


def check_tile_size(tile_size, halo, name):
    """Raises a `UserError` where a tile of the network `name` would consist of halo alone."""
    if tile_size <= 2 * halo:
        raise UserError(f"tile size {tile_size} is too small for {name}: more than {2 * halo} pixels are needed")


def fitting_tile(memory, pixel_bytes):
    """Returns the size of the tiles for which `memory` MiB are enough."""
    return int((memory * 2**20 / (COPIES * pixel_bytes))**0.5)


def largest_tile(memory, pixel_bytes, halo):
    """Returns the size of the tiles for `memory` MiB, but not one that is too small to be worth its halo."""
    return max(fitting_tile(memory, pixel_bytes), 4 * halo)


def default_memory(model):
    """Returns the MiB that the layers of `model` may take at once.

    A network of many weights takes long for a pixel, so that the halo costs much: it gets larger tiles, in proportion
    to its weights, of which the time for a pixel is a multiple as well.
    """
    return max(MEMORY, MEMORY_OF_WEIGHTS * 4 * model.count_params() / 2**20)
