"""Bicubic resizing as MATLAB's `imresize` does it, by which the published low-resolution images were made."""

import math

import numpy as np

BORDERS = ("symmetric", "replicate")


def imresize(image, scale, border="symmetric"):
    """Resizes an image by the factor `scale`, exactly as MATLAB's `imresize(image, scale, 'bicubic')`.

    The kernel (a = -0.5) is widened by 1 / scale when the image shrinks (antialiasing); rows are resized first.

    Args:
        image: array (H, W) or (H, W, C). A uint8 image is rounded half up to uint8 after each of the two passes,
            as MATLAB does; any other is computed in float64.
        scale: factor above 0, such as 1 / 4 or 4.
        border: 'symmetric' (newer MATLAB, DIV2K) or 'replicate' (older MATLAB, the usual Set5, Set14, B100 files).

    Returns:
        array (ceil(H * scale), ceil(W * scale)[, C]), uint8 or float64.
    """
    for axis in (0, 1):
        weights, indices = _contributions(image.shape[axis], scale, border)
        image = _resize_axis(image, weights, indices, axis)
    return image


def downscale(hr, scale, border="symmetric"):
    """Makes the low-resolution image of `hr` (H, W, 3), uint8: cropped to a multiple of `scale`, then `imresize`."""
    height, width = (size // scale * scale for size in hr.shape[:2])
    return imresize(hr[:height, :width], 1 / scale, border)


def _resize_axis(image, weights, indices, axis):
    shape = [1] * image.ndim
    shape[axis] = -1
    resized = 0.0
    for weight, index in zip(weights.T, indices.T, strict=True):
        resized = resized + weight.reshape(shape) * np.take(image, index, axis)
    if image.dtype == np.uint8:
        return np.clip(np.floor(resized + 0.5), 0, 255).astype(np.uint8)
    return resized


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
