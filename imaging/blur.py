"""Blur: the kernels of lenses and of resampling, and the convolution of an image with one of them.

A kernel is an array (2 R + 1, 2 R + 1) with the sum 1, symmetric about its centre, so that it moves nothing.
"""

import math

import numpy as np
from scipy import fft, ndimage, special

from imaging.rounding import round_half_up

SEPARABLE_RANK = 2  # with more terms than this, a Fourier transform is the faster way
NEGLIGIBLE = 2e-3  # share of the largest term of a kernel below which another one is left out


def gaussian_kernel(radius, sigma, other_sigma=None, angle=0.0):
    """Returns a Gaussian kernel: isotropic, or of the widths `sigma` and `other_sigma` along its two axes.

    Args:
        radius: R in pixels.
        sigma: width along the first axis, in pixels.
        other_sigma: width along the second axis, in pixels; None stands for `sigma`.
        angle: of the first axis, in radians from the image's x axis.
    """
    return _normalized(np.exp(-0.5 * _ellipse(radius, sigma, other_sigma, angle)))


def generalized_gaussian_kernel(radius, sigma, other_sigma=None, angle=0.0, shape=1.0):
    """Returns a generalized Gaussian kernel: Real-ESRGAN (Wang et al. 2021), section 3.1, with beta = `shape`.

    Below 1 the kernel has a sharper peak than a Gaussian, above 1 a flatter one. The other arguments are those of
    `gaussian_kernel`.
    """
    return _normalized(np.exp(-0.5 * _ellipse(radius, sigma, other_sigma, angle) ** shape))


def plateau_kernel(radius, sigma, other_sigma=None, angle=0.0, shape=1.0):
    """Returns a plateau-shaped kernel: Real-ESRGAN, section 3.1, with beta = `shape`; see `gaussian_kernel`."""
    return _normalized(1 / (1 + _ellipse(radius, sigma, other_sigma, angle) ** shape))


def sinc_kernel(radius, cutoff):
    """Returns the circular low-pass kernel that makes ringing and overshoot: Real-ESRGAN, section 3.3.

    Args:
        radius: R in pixels.
        cutoff: frequency above which nothing passes, in radians a pixel, at most pi.
    """
    y, x = _grid(radius)
    distance = np.hypot(x, y)
    distance[radius, radius] = 1  # no division by zero: the limit is put there below
    kernel = cutoff * special.j1(cutoff * distance) / (2 * math.pi * distance)
    kernel[radius, radius] = cutoff**2 / (4 * math.pi)
    return _normalized(kernel)


def convolve(image, kernel):
    """Convolves an image (H, W, 3), uint8, with a kernel; beyond its borders the image is continued as its mirror."""
    terms = _separable_terms(kernel)
    blurred = _convolve_by_fourier(image, kernel) if terms is None else _convolve_by_axes(image, terms)
    return round_half_up(blurred, np.uint8)


def _grid(radius):
    """Returns the rows (2 R + 1, 1) and the columns (1, 2 R + 1) of a kernel, counted from its centre."""
    offsets = np.arange(-radius, radius + 1, dtype=np.float64)
    return offsets[:, None], offsets


def _ellipse(radius, sigma, other_sigma, angle):
    """Returns the squared distance from the centre, in units of the widths along the two axes."""
    y, x = _grid(radius)
    cos, sin = math.cos(angle), math.sin(angle)
    along, across = cos * x + sin * y, cos * y - sin * x
    return (along / sigma) ** 2 + (across / (sigma if other_sigma is None else other_sigma)) ** 2


def _normalized(kernel):
    return kernel / kernel.sum()


def _separable_terms(kernel):
    """Returns pairs (column, row) whose outer products add up to the kernel; None where that would take too many.

    An isotropic Gaussian is one such product and a slightly elongated one nearly the sum of two, which is faster than
    a convolution in two dimensions. float32 also hides what another processor's linear algebra changes.
    """
    columns, weights, rows = np.linalg.svd(kernel)
    rank = int((weights > NEGLIGIBLE * weights[0]).sum())
    if rank > SEPARABLE_RANK:
        return None
    columns = columns[:, :rank].T * weights[:rank, None]
    total = (columns.sum(axis=1) * rows[:rank].sum(axis=1)).sum()
    return [(column.astype(np.float32), row.astype(np.float32))
            for column, row in zip(columns / total, rows[:rank], strict=True)]


def _convolve_by_axes(image, terms):
    blurred = 0.0
    for column, row in terms:
        # Correlation is convolution here, since the kernel is the same when it is turned by 180 degrees.
        passed = ndimage.correlate1d(image, column, axis=0, output=np.float32, mode="reflect")
        blurred = blurred + ndimage.correlate1d(passed, row, axis=1, mode="reflect")
    return blurred


def _convolve_by_fourier(image, kernel):
    radius = len(kernel) // 2
    height, width = image.shape[:2]
    shape = [fft.next_fast_len(size + 4 * radius, real=True) for size in (height, width)]
    transfer = fft.rfft2(kernel.astype(np.float32), shape)
    blurred = np.empty(image.shape, np.float32)
    for channel in range(image.shape[2]):  # one by one: photos are large
        padded = np.pad(image[..., channel], radius, "symmetric").astype(np.float32)
        product = fft.irfft2(fft.rfft2(padded, shape) * transfer, shape)
        blurred[..., channel] = product[2 * radius:2 * radius + height, 2 * radius:2 * radius + width]
    return blurred
