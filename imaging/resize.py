"""Bicubic resizing as MATLAB's `imresize` does it, by which the published low-resolution images were made."""

import math

import numpy as np

from imaging.rounding import round_half_up

BLOCK_SIZE = 1 << 16  # numbers that are computed at once: few enough to stay in a CPU's cache


def imresize(image, scale, border="symmetric"):
    """Resizes an image by the factor `scale`, exactly as MATLAB's `imresize(image, scale, 'bicubic')`.

    The kernel (a = -0.5) is widened by 1 / scale when the image shrinks (antialiasing); rows are resized first.

    Args:
        image: array (H, W) or (H, W, C). A uint8 or uint16 image is rounded half up after each of the two passes, as
            MATLAB does; any other is computed in float64.
        scale: factor above 0, such as 1 / 4 or 4.
        border: 'symmetric' (newer MATLAB, DIV2K) or 'replicate' (older MATLAB, the usual Set5, Set14, B100 files).

    Returns:
        array (ceil(H * scale), ceil(W * scale)[, C]), uint8, uint16 or float64.
    """
    return Resizing(image, scale, border).part(slice(None), slice(None))


class Resizing:
    """An image that is resized part by part, as `imresize` resizes it, whose arguments these are."""

    def __init__(self, image, scale, border="symmetric"):
        self.image = image
        self.contributions = [_contributions(size, scale, border) for size in image.shape[:2]]

    def part(self, rows, columns):
        """Returns the slices `rows` and `columns` of the resized image; what else it takes in memory is bounded."""
        return _resize(self.image, *([array[part] for array in axis]
                                     for axis, part in zip(self.contributions, (rows, columns), strict=True)))


def resize_strips(strips, shape, scale, new_shape):
    """Yields an image that is resized while it comes, as `Resizing.part` returns it, in strips from the top.

    Args:
        strips: arrays (h, W) or (h, W, C), the rows of the image.
        shape: height and width of the image.
        scale: as of `imresize`.
        new_shape: height and width of the part of the resized image that is returned, from its upper left corner.
    """
    (weights, indices), columns = ([array[:length] for array in _contributions(size, scale, "symmetric")]
                                   for size, length in zip(shape, new_shape, strict=True))
    rows, first = None, 0  # those that are needed still, and which is the first of them
    top = 0
    for strip in strips:
        rows = strip if rows is None else np.concatenate([rows, strip])
        is_ready = (indices[top:] < first + len(rows)).all(axis=1)
        bottom = top + (len(is_ready) if is_ready.all() else int(is_ready.argmin()))
        if bottom > top:
            yield _resize(rows, (weights[top:bottom], indices[top:bottom] - first), columns)
            top = bottom
            kept = int(indices[top:].min(initial=first + len(rows)))
            rows, first = rows[kept - first:], kept


def downscale(hr, scale, border="symmetric"):
    """Makes the low-resolution image of `hr` (H, W, 3), uint8: cropped to a multiple of `scale`, then `imresize`."""
    height, width = (size // scale * scale for size in hr.shape[:2])
    return imresize(hr[:height, :width], 1 / scale, border)


def _resize(image, rows, columns):
    """Returns an image, resized by the weights and indices of its rows and of its columns."""
    (row_weights, row_indices), (weights, indices) = rows, columns
    first, last = indices.min(), indices.max() + 1
    image, indices = image[:, first:last], indices - first
    dtype = image.dtype if image.dtype in (np.uint8, np.uint16) else np.float64
    resized = np.empty((len(row_weights), len(weights), *image.shape[2:]), dtype)
    step = max(1, BLOCK_SIZE // max(resized[0].size, image[0].size))
    for i in range(0, len(resized), step):
        block = _resize_axis(image, row_weights[i:i + step], row_indices[i:i + step], 0)
        resized[i:i + step] = _resize_axis(block, weights, indices, 1)
    return resized


def _resize_axis(image, weights, indices, axis):
    shape = [1] * image.ndim
    shape[axis] = -1
    resized = 0.0
    for weight, index in zip(weights.T, indices.T, strict=True):
        resized = resized + weight.reshape(shape) * np.take(image, index, axis)
    return round_half_up(resized, image.dtype) if image.dtype in (np.uint8, np.uint16) else resized


def _contributions(size, scale, border):
    """Returns weights and source indices, each (output size, taps), along one axis of `size` pixels."""
    shrink = min(scale, 1.0)
    kernel_width = 4.0 / shrink
    # Centre of each output pixel in input coordinates, counted from 1 as in MATLAB.
    centre = np.arange(1, math.ceil(size * scale) + 1) / scale + 0.5 * (1 - 1 / scale)
    first = np.floor(centre - kernel_width / 2)
    indices = first[:, None] + np.arange(math.ceil(kernel_width) + 2)
    weights = shrink * _cubic(shrink * (centre[:, None] - indices))
    weights /= weights.sum(axis=1, keepdims=True)
    used = (weights != 0).any(axis=0)
    return weights[:, used], _inside(indices[:, used].astype(int) - 1, size, border)


def _inside(indices, size, border):
    """Maps indices beyond an axis of `size` pixels back into it."""
    if border == "replicate":
        return np.clip(indices, 0, size - 1)
    mirrored = np.mod(indices, 2 * size)
    return np.where(mirrored < size, mirrored, 2 * size - 1 - mirrored)


def _cubic(x):
    """Cubic convolution kernel of Keys (1981), equation 4, with a = -0.5."""
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))
