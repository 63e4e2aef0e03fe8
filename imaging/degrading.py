"""What happens to a photo on its way to us besides blur: it is resized, gets noise and is compressed.

Each step takes and returns an image (H, W, 3), uint8, as programs that handle photos one after the other do, and
leaves every pixel at its place.
"""

import io

import numpy as np
from PIL import Image

from imaging.rounding import round_half_up

REDUCING_KERNELS = {"box": Image.Resampling.BOX, "bilinear": Image.Resampling.BILINEAR,
                    "hamming": Image.Resampling.HAMMING, "bicubic": Image.Resampling.BICUBIC,
                    "lanczos": Image.Resampling.LANCZOS}
POINT_KERNELS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
SUBSAMPLINGS = {"4:4:4": 0, "4:2:0": 2}  # Pillow's numbers
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # shares of red, green and blue: ITU-R BT.601
STRIP_SIZE = 1 << 20  # values that noise is added to at once, since they take several times their memory


def resize(image, size, kernel):
    """Resizes an image to `size` (height, width) with a kernel that is widened when the image shrinks (antialiasing).

    Args:
        kernel: 'box', 'bilinear', 'hamming', 'bicubic' or 'lanczos', as Pillow computes them. At the borders the
            weights inside the image are scaled to the sum 1.
    """
    height, width = size
    return np.array(Image.fromarray(image).resize((width, height), REDUCING_KERNELS[kernel]))


def interpolate(image, size, kernel):
    """Resizes an image to `size` (height, width) without antialiasing, by 'bilinear' or 'bicubic' interpolation."""
    height, width = size
    steps = (image.shape[1] / width, 0, 0, 0, image.shape[0] / height, 0)  # from centres of pixels to such
    return np.array(Image.fromarray(image).transform((width, height), Image.Transform.AFFINE, steps,
                                                       POINT_KERNELS[kernel]))


def add_gaussian_noise(rng, image, sigma, grey=False):
    """Adds noise of the standard deviation `sigma` (grey levels of 255); with `grey`, the same to all three colours."""
    sigma = np.float32(sigma)

    def noise(strip):
        return sigma * rng.standard_normal((*strip.shape[:2], 1 if grey else 3), np.float32)

    return _with_noise(image, noise)


def add_poisson_noise(rng, image, photons, gain=1.0, grey=False):
    """Adds the noise of counted photons, whose standard deviation grows with the square root of the brightness.

    Args:
        photons: how many make a white pixel. The standard deviation there is 255 `gain` / sqrt(`photons`) grey levels.
        gain: factor on the noise.
        grey: the noise of the grey image is added to all three colours.
    """
    def noise(strip):
        light = (strip * GREY).sum(axis=2, keepdims=True) if grey else strip
        expected = light * (photons / 255)
        return gain * (rng.poisson(expected) - expected) * (255 / photons)

    return _with_noise(image, noise)


def compress(image, quality, subsampling):
    """Compresses an image as a JPEG and returns what is left of it.

    Args:
        quality: 1 to 100, as libjpeg counts it.
        subsampling: of the colours, '4:4:4' (none) or '4:2:0' (by 2 along both axes).
    """
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling=SUBSAMPLINGS[subsampling])
    return np.array(Image.open(file))


def _with_noise(image, noise):
    """Returns the image plus `noise(strip)` of each of its strips, from top to bottom."""
    noisy = np.empty(image.shape, np.uint8)
    rows = max(1, STRIP_SIZE // image[0].size)
    for top in range(0, len(image), rows):
        strip = image[top:top + rows].astype(np.float32)
        noisy[top:top + rows] = round_half_up(strip + noise(strip), np.uint8)
    return noisy
