"""The degradations of Real-ESRGAN: twice blur, resizing, noise and JPEG, with sinc filters.

After Wang et al. (2021), "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data", sections
3.1 to 3.3. The settings are those of its x4 model, from section 4.1 and options/train_realesrgan_x4plus.yml beside its
code. Unlike there, every step leaves an 8-bit image, JPEG keeps all colours in half of the cases, and the
high-resolution image is not sharpened.
"""

import math
from typing import NamedTuple

from datasets.chance import Chance
from imaging import blur, degrading


class Pass(NamedTuple):
    """The settings of one of the two passes of `photo2`.

    Attributes:
        blur_probability: that there is any.
        blur_sigma: range of widths in pixels.
        resize_shares: probabilities to enlarge, to reduce and to keep the size.
        resize_range: smallest and largest factor.
        noise_sigma: range of the standard deviation of Gaussian noise, in grey levels of 255.
        poisson_gain: range of the factor on Poisson noise.
    """

    blur_probability: float
    blur_sigma: tuple
    resize_shares: tuple
    resize_range: tuple
    noise_sigma: tuple
    poisson_gain: tuple


FIRST_PASS = Pass(1.0, (0.2, 3.0), (0.2, 0.7, 0.1), (0.15, 1.5), (1, 30), (0.05, 3.0))
SECOND_PASS = Pass(0.8, (0.2, 1.5), (0.3, 0.4, 0.3), (0.3, 1.2), (1, 25), (0.05, 2.5))
KERNEL_SHARES = {  # (shape, isotropic): probability
    ("gaussian", True): 0.45, ("gaussian", False): 0.25, ("generalized", True): 0.12, ("generalized", False): 0.03,
    ("plateau", True): 0.12, ("plateau", False): 0.03}
GENERALIZED_SHAPE = (0.5, 4)  # beta
PLATEAU_SHAPE = (1, 2)  # beta
KERNEL_RADII = (3, 10)  # sizes 7 to 21
SINC_SHARE = 0.1  # of blur kernels
FINAL_SINC_PROBABILITY = 0.8
SINC_CUTOFF = (math.pi / 3, math.pi)
WIDE_SINC_CUTOFF, WIDE_SINC_RADIUS = (math.pi / 5, math.pi), 6  # a blur kernel of 13 pixels or more may pass less
PHOTONS = 255  # at white
GREY_SHARE = 0.4
POISSON_SHARE = 0.5
JPEG_QUALITY = (30, 95)
INTERPOLATIONS = ("area", "bilinear", "bicubic")


class Photo2(Chance):
    """The chain `photo2` for one image."""

    def lr(self, hr, size):
        """Returns the image of `hr` that has `size` (height, width)."""
        image = self._passed(hr, hr.shape[:2], FIRST_PASS)
        image = self.compressed(image, JPEG_QUALITY)
        image = self._passed(image, size, SECOND_PASS)
        if self.rng.random() < 0.5:  # section 3.3: the last two steps in either order
            return self.compressed(self._finished(image, size), JPEG_QUALITY)
        return self._finished(self.compressed(image, JPEG_QUALITY), size)

    def _passed(self, image, unit_size, settings):
        """Returns the image after blur, resizing and noise; factors of resizing are counted from `unit_size`."""
        if self.happens(settings.blur_probability):
            image = blur.convolve(image, self._kernel(settings.blur_sigma))
        image = self._resized(image, unit_size, settings)
        grey = self.rng.random() < GREY_SHARE
        if self.rng.random() < POISSON_SHARE:
            gain = self.value(settings.poisson_gain)
            return degrading.add_poisson_noise(self.rng, image, PHOTONS, gain, grey)
        return degrading.add_gaussian_noise(self.rng, image, self.value(settings.noise_sigma), grey)

    def _kernel(self, sigmas):
        radius = int(self.rng.integers(*KERNEL_RADII, endpoint=True))
        if self.happens(SINC_SHARE):
            return blur.sinc_kernel(radius, self.rng.uniform(
                *(SINC_CUTOFF if radius < WIDE_SINC_RADIUS else WIDE_SINC_CUTOFF)))
        shape, isotropic = self.choice(tuple(KERNEL_SHARES), tuple(KERNEL_SHARES.values()))
        sigma = self.value(sigmas)
        axes = (sigma, sigma, 0.0) if isotropic else (sigma, self.value(sigmas), self.rng.uniform(0, math.pi))
        if shape == "generalized":
            return blur.generalized_gaussian_kernel(radius, *axes, self.rng.uniform(*GENERALIZED_SHAPE))
        if shape == "plateau":
            return blur.plateau_kernel(radius, *axes, self.rng.uniform(*PLATEAU_SHAPE))
        return blur.gaussian_kernel(radius, *axes)

    def _resized(self, image, unit_size, settings):
        smallest, largest = settings.resize_range
        bounds = self.choice(((1, largest), (smallest, 1), (1, 1)), settings.resize_shares)
        factor = self.rng.uniform(*bounds)
        return self._interpolated(image, tuple(max(1, round(length * factor)) for length in unit_size))

    def _finished(self, image, size):
        image = self._interpolated(image, size)
        if self.happens(FINAL_SINC_PROBABILITY):
            radius = int(self.rng.integers(*KERNEL_RADII, endpoint=True))
            image = blur.convolve(image, blur.sinc_kernel(radius, self.rng.uniform(*SINC_CUTOFF)))
        return image

    def _interpolated(self, image, size):
        """Resizes as the published code does: bilinear and bicubic without antialiasing, which leaves aliases."""
        kernel = self.choice(INTERPOLATIONS)
        if kernel != "area":
            return degrading.interpolate(image, size, kernel)
        if size[0] > image.shape[0]:  # copies of the nearest pixel would move the image: section 3.1
            return degrading.interpolate(image, size, "bilinear")
        return degrading.resize(image, size, "box")
