"""Super-resolving an image with a network."""

import keras
import numpy as np
from PIL import Image

from errors import UserError
from super_resolution.forward import cut_network, whole_network
from super_resolution.pixels import ArrayPixels, PILPixels
from super_resolution.reach import grid, split_tail
from super_resolution.tiles import check_tile_size, fitting_tile, largest_tile, rounded_up, tiles, useful_halo
from weights import model_scale

JAX_TILE = 192  # LR pixels, at least
JAX_TILE_HALOS = 6  # a tile is at least that many halos wide: 4 x 4 of its 6 x 6 are new


class SuperResolver:
    """Applies a network to images of any size, whole or in tiles; the result is the same.

    Tiles are windows that slide inside the image and overlap by the halo, the reach of the network, so that what is
    taken from each is what the whole image would give, or nearly so where that reach is far (see `tiles.NEAR`).
    TensorFlow compiles the network once. JAX compiles it for each size of its input, and therefore always works in
    tiles; images smaller than a tile are compiled once for each size.
    A network with layers whose reach is not known gets whole images.

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
    """

    def __init__(self, model, tile_size=None, memory=None, self_ensemble=False, name=None):
        self.model, self.self_ensemble, self.name = model, self_ensemble, name or model.name
        self.scale = model_scale(model)
        self.halo, self.tile_size, self.grid = 0, tile_size, grid(model)
        stages = []
        if tile_size or memory or keras.backend.backend() == "jax":
            stages = self._stages()
        if stages:
            self.halo = rounded_up(useful_halo(stages[0].halo, tile_size or self._limit(memory, stages)), self.grid)
            self.tile_size = tile_size or self._default_tile_size(memory, stages)
            check_tile_size(self.tile_size, self.halo, model.name)
        if memory and len(stages) == 2:
            body, tail = stages
            tail_size = largest_tile(memory / 2, tail.pixel_bytes, tail.halo)  # features and output take the other half
            self._forward = cut_network(body.network, tail.network, self.scale, tail_size, tail.halo)
        else:
            self._forward = whole_network(model)

    @property
    def num_parameters(self):
        """How many numbers the network's weights are."""
        return self.model.count_params()

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
        for rows, columns, part in self.parts(pixels.lr.shape, pixels.read, progress):
            pixels.write(sr, rows, columns, part)
        return sr

    def strips(self, image, progress=lambda num_lr_pixels: None):
        """Yields the rows of what `enlarge` returns, in strips from the top, each as soon as it is done.

        No more of the result is in memory than a row of tiles. Arguments and errors are those of `enlarge`; the image
        is an array.
        """
        pixels = ArrayPixels(image, self.scale, self.halo)
        for rows, columns, part in self.parts(pixels.lr.shape, pixels.read, progress):
            if columns.start == 0:
                strips = pixels.new_strips(rows)
            pixels.write_strips(strips, rows, columns, part)
            del part
            while columns.stop == pixels.lr.shape[1] * self.scale and strips:
                yield strips.pop(0)

    def parts(self, shape, read, progress=lambda num_lr_pixels: None):
        """Yields a super-resolved image part by part: the slices of its rows and columns, and their pixels.

        Args:
            shape: height and width of the LR image.
            read: function of a slice of rows and one of columns: returns these LR pixels, (h, w, 3) in [0, 255].
            progress: function of the number of LR pixels done since its last call.
        """
        scale = self.scale
        for rows, columns in tiles(shape, self.tile_size, self.halo, self.grid):
            lr = np.asarray(read(rows.window(), columns.window()), np.float32)
            sr = self._tile(lr, (rows.last - rows.first) * (columns.last - columns.first), progress)
            yield (rows.part(scale), columns.part(scale),
                   sr[rows.part_of_window(scale), columns.part_of_window(scale)])

    def _tile(self, lr, num_pixels, progress):
        if self.grid > 1:  # as the network itself does, and so that what is flipped begins on its grid as well
            lr = np.pad(lr, [*((0, rounded_up(size, self.grid) - size) for size in lr.shape[:2]), (0, 0)], "symmetric")
        if not self.self_ensemble:
            sr = self._forward(lr)
            progress(num_pixels)
            return sr
        total, done = 0, 0
        for flip in (False, True):
            for quarters in range(4):
                sr = np.rot90(self._forward(np.rot90(lr[:, ::-1] if flip else lr, quarters)), -quarters)
                total = total + (sr[:, ::-1] if flip else sr)
                before, done = done, done + 1
                progress(num_pixels * done // 8 - num_pixels * before // 8)
        return total / 8

    def _stages(self):
        try:
            return split_tail(self.model)
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
