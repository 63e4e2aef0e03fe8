"""Images of every kind as a network takes them, RGB in [0, 255], and what it returns as an image of their kind."""

import math

import numpy as np
from PIL import Image
from scipy.ndimage import distance_transform_edt

from errors import UserError
from imaging.resize import Resizing
from imaging.rounding import round_half_up
from super_resolution.pil_images import EnlargedImage, read_pil

BT601_LUMA = (0.299, 0.587, 0.114)
STRIP = 128  # rows that are rounded, and passed on, at once, so that what is computed for it takes little memory
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")


class ArrayPixels:
    """The pixels of an array, see `SuperResolver.enlarge`.

    Args:
        lr: the array.
        scale: 2, 3, 4 or 8.
        halo: how far the network looks, in LR pixels.
    """

    def __init__(self, lr, scale, halo):
        check_array(lr)
        self.lr, self.scale = lr, scale
        channels = 1 if lr.ndim == 2 else lr.shape[2]
        self.is_grey = channels < 3
        self.are_bytes = lr.dtype == np.uint8 and not self.is_grey  # of what the network makes
        self.unit = np.float32(257 if lr.dtype == np.uint16 else 1)  # 257 = 65535 / 255
        self.alpha = Resizing(lr[..., -1], scale) if channels in (2, 4) else None
        # A visible pixel of the output is within 2.5 LR pixels, bicubic's overshoot, of a visible one of the input.
        # Both are less than sqrt(2) (halo + 2.5) from all that the network sees for it, and so is the visible pixel
        # that is nearest to what it sees: with this margin it is the same in a tile as in the whole image.
        self.margin = math.ceil(1.5 * halo) + 4

    def read(self, rows, columns):
        """Returns a part of the image as RGB (h, w, 3) in [0, 255], float32."""
        if self.alpha is not None and not self.alpha.image[rows, columns].all():
            colours = self._visible_colours(rows, columns)
        else:
            colours = self._colours(rows, columns)
        colours = colours.astype(np.float32) / self.unit
        return np.repeat(colours, 3, axis=2) if self.is_grey else colours

    def new(self):
        """Returns an image of `scale` times the size, to be written to."""
        return self._new(self.lr.shape[0] * self.scale)

    def new_strips(self, rows):
        """Returns these rows of such an image as a list of strips, which `write_strips` writes to."""
        return [self._new(strip.stop - strip.start) for strip in _strips(rows)]

    def write(self, sr, rows, columns, part):
        """Writes the network's output `part`, RGB (h, w, 3) in [0, 255], to its place in `sr`."""
        for strip in _strips(rows):
            pixels = part[strip.start - rows.start:strip.stop - rows.start]
            self._put(sr, strip, columns, self._finish(strip, columns, pixels))

    def write_strips(self, strips, rows, columns, part):
        """Writes such a `part` to its columns of the strips of `rows`."""
        for array, strip in zip(strips, _strips(rows), strict=True):
            pixels = part[strip.start - rows.start:strip.stop - rows.start]
            array[:, columns] = self._finish(strip, columns, pixels)

    def _new(self, height):
        dtype = self.lr.dtype if self.is_whole else np.float32
        return np.empty((height, self.lr.shape[1] * self.scale, *self.lr.shape[2:]), dtype)

    def _put(self, sr, rows, columns, pixels):
        sr[rows, columns] = pixels

    @property
    def is_whole(self):
        """Whether the pixels are whole numbers."""
        return self.lr.dtype.kind == "u"

    def _finish(self, rows, columns, part):
        if not self.is_whole:
            return part
        if self.is_grey:
            part = (part @ np.array(BT601_LUMA, np.float32))[..., None]
        if part.dtype != self.lr.dtype:
            part = round_half_up(part * self.unit, self.lr.dtype)
        if self.alpha is not None:
            part = np.dstack([part, self.alpha.part(rows, columns)])
        return part.reshape(*part.shape[:2], *self.lr.shape[2:])

    def _colours(self, rows, columns):
        lr = self.lr[rows, columns]
        if lr.ndim == 2:
            return lr[..., None]
        return lr if self.alpha is None else lr[..., :-1]

    def _visible_colours(self, rows, columns):
        """Returns colours of which those of transparent pixels are taken from the nearest pixel that is not."""
        outer = [slice(max(part.start - self.margin, 0), part.stop + self.margin) for part in (rows, columns)]
        inner = [slice(part.start - wide.start, part.stop - wide.start)
                 for part, wide in zip((rows, columns), outer, strict=True)]
        colours, transparent = self._colours(*outer), self.alpha.image[tuple(outer)] == 0
        if transparent.all():
            return self._colours(rows, columns)
        nearest = distance_transform_edt(transparent, return_distances=False, return_indices=True)
        return colours[tuple(nearest[:, *inner])]


class PILPixels(ArrayPixels):
    """The pixels of a PIL image, see `SuperResolver.enlarge`."""

    def __init__(self, image, scale, halo):
        if image.mode not in MODES:
            raise UserError(f"images of the mode {image.mode} are not supported: convert to one of {', '.join(MODES)}")
        self.mode = image.mode
        if image.mode in ("1", "L"):
            self.mode = "LA" if image.has_transparency_data else "L"
        elif image.mode in ("P", "RGB"):
            self.mode = "RGBA" if image.has_transparency_data else "RGB"
        pixels, self.told = read_pil(image, self.mode)
        super().__init__(pixels, scale, halo)

    def new(self):
        """Returns an `EnlargedImage` of `scale` times the size, with what the original tells."""
        height, width = self.lr.shape[:2]
        return EnlargedImage.new(self.mode, (width * self.scale, height * self.scale), self.told)

    def _put(self, sr, rows, columns, pixels):
        sr.paste(Image.fromarray(np.ascontiguousarray(pixels)), (columns.start, rows.start))


def _strips(rows):
    """Returns a slice of rows as slices of up to `STRIP` rows."""
    return [slice(start, min(start + STRIP, rows.stop)) for start in range(rows.start, rows.stop, STRIP)]


def check_array(lr):
    """Raises a `UserError` that says what is allowed unless `lr` is an array that `SuperResolver.enlarge` takes."""
    if not isinstance(lr, np.ndarray):
        raise UserError(f"a {type(lr).__name__} is no image: give a NumPy array or a PIL image")
    if lr.dtype.kind != "f" and lr.dtype not in (np.uint8, np.uint16):
        raise UserError(f"images of {lr.dtype} are not supported: give uint8, uint16, or floats in [0, 255]")
    if lr.size == 0:
        raise UserError(f"an image of the shape {lr.shape} has no pixels: it must be at least 1 x 1")
    if lr.dtype.kind == "f":
        if lr.ndim != 3 or lr.shape[2] != 3:
            raise UserError(f"an image of floats of the shape {lr.shape} is not supported: give RGB, (H, W, 3)")
        # min and max pass a NaN on, and need no copy.
        if not (np.isfinite(lr.min()) and np.isfinite(lr.max())):
            raise UserError("an image with NaN or infinite values is not supported: give floats in [0, 255]")
    elif lr.ndim not in (2, 3) or (lr.ndim == 3 and lr.shape[2] not in (1, 2, 3, 4)):
        raise UserError(f"an image of the shape {lr.shape} is not supported: give grey, (H, W) or (H, W, 1), or RGB, "
                        "(H, W, 3), or either with alpha, (H, W, 2) or (H, W, 4)")
