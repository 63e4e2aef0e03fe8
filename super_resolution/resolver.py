"""Super-resolving an image with a network."""

import functools
import math
import sys
from collections import deque

import keras
import numpy as np
from PIL import Image

from errors import UserError
from imaging.rounding import round_half_up
from super_resolution.engines import compiler, on_gpu
from super_resolution.forward import cut_network, in_bytes, whole_network
from super_resolution.pixels import ArrayPixels, PILPixels
from super_resolution.reach import grid, split_tail
from super_resolution.tiles import (
    Span,
    check_tile_size,
    fitting_tile,
    grouped,
    largest_tile,
    rounded_up,
    tiles,
    tiles_at_once,
    useful_halo,
    window_size,
)
from weights import model_scale

JAX_TILE = 192  # LR pixels, at least
AHEAD = 1  # batches of tiles that a GPU has already while one is waited for
VARIANTS = tuple((flip, quarters) for flip in (False, True) for quarters in range(4))  # of the self-ensemble
JAX_TILE_HALOS = 6  # a tile is at least that many halos wide: 4 x 4 of its 6 x 6 are new


class SuperResolver:
    """Applies a network to images of any size, whole or in tiles; the result is the same.

    Tiles are windows that slide inside the image and overlap by the halo, the reach of the network, so that what is
    taken from each is what the whole image would give, or nearly so where that reach is far (see `tiles.NEAR`).
    TensorFlow and OpenVINO compile the network once. JAX compiles it for each size of its input, and therefore always
    works in tiles; images smaller than a tile are compiled once for each size.
    A network with layers whose reach is not known gets whole images.
    On a GPU several tiles of a size are done at once, and the next ones are sent while these are computed; so are
    images that are no larger than a tile, by `each`.

    Args:
        model: a network of images.
        tile_size: LR pixels, more than twice the halo. By default whole images are taken (on JAX tiles that fit), or
            what `memory` allows.
        memory: MiB that the network's layers may take at once; it chooses a tile size, but not one that is too small
            to be worth its halo. Where a network ends with layers at the size of the output, these are applied in
            smaller tiles of their own.
        self_ensemble: return the mean over the 8 flips and rotations of an image, each turned back (EDSR paper,
            section 3.4).
        name: of the model, to be shown; None: the network's.
        exact: the float32 network, where `model` is the same one in 16 bits. Tiles of which that makes values that are
            no finite numbers are computed with it.
        is_gpu: whether to work as on a GPU; None: where there is one.
        engine: what `engines.choose_engine` returned: 'keras' or 'openvino'.
    """

    def __init__(self, model, tile_size=None, memory=None, self_ensemble=False, name=None, exact=None, is_gpu=None,
                 engine="keras"):
        self.model, self.self_ensemble, self.name = model, self_ensemble, name or model.name
        self.exact, self._exact_forward = exact, None
        self._byte_forward = None
        self.is_gpu, self.engine = on_gpu() if is_gpu is None else is_gpu, engine
        self.memory = memory
        self.scale = model_scale(model)
        self.halo, self.tile_size, self.grid = 0, tile_size, grid(model)
        in_tiles = tile_size or memory or keras.backend.backend() == "jax"
        stages = self._stages(model) if in_tiles or self.is_gpu else []
        if stages and in_tiles:
            self.halo = rounded_up(useful_halo(stages[0].halo, tile_size or self._limit(memory, stages)), self.grid)
            self.tile_size = tile_size or self._default_tile_size(memory, stages)
            check_tile_size(self.tile_size, self.halo, model.name)
        self.pixel_bytes = stages[0].pixel_bytes if stages and self.is_gpu else None
        self._forward = self._forward_of(model, stages)

    @property
    def num_parameters(self):
        """How many numbers the network's weights are."""
        return self.model.count_params()

    def take_over(self, model):
        """Takes the weights of `model` if it is the same network, so that nothing is compiled anew.

        Returns:
            Whether it is the same network, and computed by Keras: OpenVINO compiles the weights as well.
        """
        if self.engine != "keras" or model.get_config() != (self.exact or self.model).get_config():
            return False
        for own in filter(None, (self.model, self.exact)):
            own.set_weights(model.get_weights())
        return True

    def __call__(self, lr):
        """Returns the super-resolved image (H scale, W scale, 3), float32, neither clipped nor rounded.

        Args:
            lr: image (H, W, 3) in [0, 255].
        """
        sr = np.empty((lr.shape[0] * self.scale, lr.shape[1] * self.scale, 3), np.float32)
        for rows, columns, part in self.parts(lr.shape, lambda rows, columns: lr[rows, columns]):
            sr[rows, columns] = part
        return sr

    def enlarge(self, image, progress=lambda num_lr_pixels: None):
        """Returns an image of `scale` times the size and of the type of `image`; nothing else of that size is made.

        Args:
            image: an array, uint8 or uint16: (H, W) or (H, W, 1) grey, (H, W, 2) grey and alpha, (H, W, 3) RGB,
                (H, W, 4) RGB and alpha. The result has its dtype, rounded half up and clipped, and its channels.
                A float array: (H, W, 3) in [0, 255]. The result is float32, neither rounded nor clipped.
                A PIL image of the mode L, LA, RGB, RGBA or I;16, or 1 (which becomes L) or P (RGB or RGBA); with a
                transparent colour, LA or RGBA. The result is upright, and its `save` writes the colour profile and
                metadata of `image` (see `EnlargedImage`).
            progress: function of the number of LR pixels done since its last call.

        Raises:
            UserError: says which images are allowed.
        """
        pixels = (PILPixels if isinstance(image, Image.Image) else ArrayPixels)(image, self.scale, self.halo)
        sr = pixels.new()
        for rows, columns, part in self._parts_of(pixels, progress):
            pixels.write(sr, rows, columns, part)
        return sr

    def strips(self, image, progress=lambda num_lr_pixels: None):
        """Yields the rows of what `enlarge` returns, in strips from the top, each as soon as it is done.

        No more of the result is in memory than a row of tiles. Arguments and errors are those of `enlarge`; the image
        is an array.
        """
        pixels = ArrayPixels(image, self.scale, self.halo)
        for rows, columns, part in self._parts_of(pixels, progress):
            if columns.start == 0:
                strips = pixels.new_strips(rows)
            pixels.write_strips(strips, rows, columns, part)
            del part
            while columns.stop == pixels.lr.shape[1] * self.scale and strips:
                yield strips.pop(0)

    def parts(self, shape, read, progress=lambda num_lr_pixels: None, are_bytes=False):
        """Yields a super-resolved image part by part: the slices of its rows and columns, and their pixels.

        Args:
            shape: height and width of the LR image.
            read: function of a slice of rows and one of columns: returns these LR pixels, (h, w, 3) in [0, 255].
            progress: function of the number of LR pixels done since its last call.
            are_bytes: whether the pixels are to be uint8, rounded half up and clipped, which a self-ensemble cannot be;
                else they are float32.
        """
        sent = deque()
        for group in grouped(tiles(shape, self.tile_size, self.halo, self.grid), window_size, self.num_at_once):
            sent.append((group, self._begin([np.asarray(read(rows.window(), columns.window()), np.float32)
                                             for rows, columns in group], _num_pixels(group), progress, are_bytes)))
            if len(sent) > (AHEAD if self.is_gpu else 0):
                yield from self._finished(*sent.popleft())
        while sent:
            yield from self._finished(*sent.popleft())

    def _parts_of(self, pixels, progress):
        """Yields the parts of what becomes of `ArrayPixels`, rounded already where a GPU does that."""
        return self.parts(pixels.lr.shape, pixels.read, progress, self._in_bytes(pixels))

    def _in_bytes(self, pixels):
        return self.is_gpu and not self.self_ensemble and pixels.are_bytes

    def num_at_once(self, size):
        """Returns how many tiles or images of this height and width are computed at once."""
        return tiles_at_once(math.prod(size), self.pixel_bytes) if self.pixel_bytes else 1

    def each(self, items, image_of):
        """Yields each of `items` with a function that returns what `enlarge` does, or None: it is left to that.

        On a GPU, neighbours of one size, each no larger than a tile, are computed at once, and the next ones are
        sent while these are waited for.

        Args:
            items: iterable, of which on a GPU some are taken ahead.
            image_of: function of an item: an array that `enlarge` takes, or None where there is nothing to compute.
        """
        if self.pixel_bytes is None:
            for item in items:
                yield item, None
                del item  # while the next one is waited for
            return
        sent = deque()
        sized = ((item, image, self._size_at_once(image)) for item in items for image in [image_of(item)])
        for group in grouped(sized, lambda one: one[2], self.num_at_once):
            own, images, sizes = zip(*group, strict=True)
            is_alone = sizes[0] is None
            sent.append(zip(own, [None] if is_alone else self._send(images), strict=True))
            while len(sent) > (0 if is_alone else AHEAD):
                yield from sent.popleft()
        while sent:
            yield from sent.popleft()

    def _size_at_once(self, image):
        """Returns the size of an image that may be computed together with others, else None."""
        if image is None:
            return None
        parts = tiles(image.shape, self.tile_size, self.halo, self.grid)
        return image.shape[:2] if len(list(parts)) == 1 and self.num_at_once(image.shape[:2]) > 1 else None

    def _send(self, images):
        """Begins with images of one size; returns of each a function that waits for its enlarged image, or None."""
        height, width = images[0].shape[:2]
        rows, columns = Span(0, height, 0, height), Span(0, width, 0, width)
        try:
            pixels = [ArrayPixels(image, self.scale, self.halo) for image in images]
            wait = functools.cache(self._begin([one.read(rows.window(), columns.window()) for one in pixels], 0,
                                               lambda num_lr_pixels: None, all(map(self._in_bytes, pixels))))
        except Exception:  # noqa: BLE001 - too much at once, for the memory as a rule; alone each tells its own error
            return [None] * len(images)

        def finished(i):
            try:
                part = wait()[i]
            except Exception:  # noqa: BLE001 - as above
                return self.enlarge(images[i])
            sr, parts = pixels[i].new(), (rows.part(self.scale), columns.part(self.scale))
            pixels[i].write(sr, *parts, part[parts])
            return sr

        return [functools.partial(finished, i) for i in range(len(images))]

    def _finished(self, group, wait):
        scale, srs = self.scale, wait()
        for (rows, columns), sr in zip(group, srs, strict=True):
            yield (rows.part(scale), columns.part(scale),
                   sr[rows.part_of_window(scale), columns.part_of_window(scale)])

    def _begin(self, lrs, num_pixels, progress, are_bytes):
        """Begins with tiles of one size, which count `num_pixels`; returns a function that waits for their batch.

        `progress` and `are_bytes` are those of `parts`.
        """
        if self.grid > 1:  # as the network itself does, and so that what is flipped begins on its grid as well
            lrs = [np.pad(lr, [*((0, rounded_up(size, self.grid) - size) for size in lr.shape[:2]), (0, 0)],
                          "symmetric") for lr in lrs]
        batch = lrs[0][None] if len(lrs) == 1 else np.stack(lrs)
        waits = (self._apply(np.rot90(batch[:, :, ::-1] if flip else batch, quarters, axes=(1, 2)), are_bytes)
                 for flip, quarters in (VARIANTS if self.self_ensemble else VARIANTS[:1]))
        if self.is_gpu:
            waits = list(waits)

        def wait():
            if not self.self_ensemble:
                (sr,) = (one() for one in waits)
                progress(num_pixels)
                return sr
            total = 0
            for done, ((flip, quarters), one) in enumerate(zip(VARIANTS, waits, strict=True)):
                sr = np.rot90(one(), -quarters, axes=(1, 2))
                total = total + (sr[:, :, ::-1] if flip else sr)
                progress(num_pixels * (done + 1) // 8 - num_pixels * done // 8)
            return total / 8

        return wait

    def _apply(self, batch, are_bytes):
        """Begins with a batch in one of its turns; returns a function that waits for it."""
        if not are_bytes:
            wait = self._forward(batch)
            return wait if self.exact is None else lambda: self._checked(batch, wait())
        if self._byte_forward is None:
            self._byte_forward = self._forward_of(self.model, self._stages(self.model) if self.memory else [], in_bytes)
        wait = self._byte_forward(batch)
        return (lambda: wait()[0]) if self.exact is None else lambda: self._checked(batch, *wait())

    def _checked(self, batch, sr, are_finite=None):
        """Returns `sr`, the network's output for a batch, with what is not finite computed again in float32.

        `are_finite` says it of each image where `sr` is rounded.
        """
        if are_finite is None:
            if np.isfinite(sr.min()) and np.isfinite(sr.max()):  # which pass a NaN on
                return sr
            are_finite = [np.isfinite(one).all() for one in sr]
        if all(are_finite):
            return sr
        if self._exact_forward is None:
            print(f"{self.name}: 16 bits do not hold some of its values: such parts are computed again in float32",
                  file=sys.stderr, flush=True)
            self._exact_forward = self._forward_of(self.exact, self._stages(self.exact) if self.memory else [])
        again = [i for i, is_finite in enumerate(are_finite) if not is_finite]
        sr, exact = np.array(sr), self._exact_forward(batch[again])()
        sr[again] = exact if sr.dtype == exact.dtype else round_half_up(exact, sr.dtype)
        return sr

    def _forward_of(self, model, stages, ending=lambda network: network):
        """Returns `model` as a function of batches; `ending` is applied to it, or to the second of two stages."""
        if self.memory and len(stages) == 2:
            body, tail = stages
            # Features and output take the other half.
            tail_size = largest_tile(self.memory / 2, tail.pixel_bytes, tail.halo)
            return cut_network(body.network, ending(tail.network), compiler(self.engine), self.scale, tail_size,
                               tail.halo, self.is_gpu)
        return whole_network(ending(model), compiler(self.engine))

    def _stages(self, model):
        try:
            return split_tail(model)
        except UserError:
            if self.tile_size:
                raise
            return []  # a reach that is not known: whole images

    def _limit(self, memory, stages):
        """Returns how large tiles may be: for the memory, and for JAX to compile them."""
        return fitting_tile(memory, stages[0].pixel_bytes) if memory else 4 * JAX_TILE

    def _default_tile_size(self, memory, stages):
        if not memory:
            return max(JAX_TILE, JAX_TILE_HALOS * self.halo)
        return largest_tile(memory, stages[0].pixel_bytes, self.halo)


def _num_pixels(group):
    return sum((rows.last - rows.first) * (columns.last - columns.first) for rows, columns in group)
