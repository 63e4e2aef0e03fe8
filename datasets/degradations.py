"""Low-resolution images as they come from cameras, programs and the web, made from high-resolution ones.

`photo` is mild: what happens to a photo between the lens and a website. `photo2` is the second-order recipe of
Real-ESRGAN (Wang et al. 2021, "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data",
sections 3.1 to 3.3), with the published settings of its x4 model. All steps leave 8-bit images, as files do.

Every choice and all noise come from one random stream, that of (seed, number), so that an image is the same whichever
process makes it, and when.
"""

import hashlib
import math
import os

import numpy as np

from choices import DEGRADATIONS
from datasets.chance import Chance
from datasets.real_esrgan import Photo2
from errors import UserError
from imaging import blur, degrading
from imaging.resize import downscale

STREAM = 3  # of the same seed, 0 chooses the images of a training, 1 crops patches, and 2 makes a GAN's label noise
MAX_STRENGTH = 3
ORDERS = (1, 2)

# One pass of `photo` at strength 1: probabilities of its steps, and ranges from which values are drawn evenly.
BLUR_PROBABILITY = 0.5
ANISOTROPIC_SHARE = 0.5
BLUR_SIGMA = (0.1, 0.6)  # pixels of the low-resolution image
REDUCTIONS = ("matlab", *degrading.REDUCING_KERNELS)
NOISE_PROBABILITY = 0.5
NOISE_SIGMA = (0.5, 12)  # grey levels of 255; of Poisson noise, at white
POISSON_SHARE = 0.5
GREY_SHARE = 0.4
JPEG_PROBABILITY = 0.7
JPEG_QUALITY = (60, 95)


class Degradation:
    """Makes low-resolution images of high-resolution ones; it is small and can be sent to other processes."""

    def __init__(self, name, strength=1.0, order=1, seed=0):
        """Checks the arguments.

        Args:
            name: 'photo' or 'photo2'.
            strength: 0 to 3. 0 is the plain bicubic reduction and 1 the default; noise, blur and the loss of JPEG
                grow with it, and below 1 there are also fewer of them.
            order: 1, or 2 for the chain of `photo` twice, with a random size between; `photo2` is always twice.
            seed: of the random stream.

        Raises:
            UserError: an argument is not allowed.
        """
        if name not in DEGRADATIONS:
            raise UserError(f"degradation {name} is unknown: choose {' or '.join(DEGRADATIONS)}")
        if not 0 <= strength <= MAX_STRENGTH:
            raise UserError(f"strength {strength} of a degradation is not allowed: choose 0 to {MAX_STRENGTH}")
        if order not in ORDERS:
            raise UserError(f"order {order} of a degradation is not allowed: choose 1 or 2")
        self.name, self.strength, self.order, self.seed = name, strength, order, seed

    def __str__(self):
        order = f", order {self.order}" if self.order > 1 else ""
        return f"{self.name}, strength {self.strength:g}{order}, seed {self.seed}"

    def lr(self, hr, scale, number):
        """Returns the low-resolution image of `hr` that (seed, number) stands for.

        Args:
            hr: image (H, W, 3), uint8; beyond a multiple of `scale` it is cut off.
            scale: 2, 3, 4 or 8.
            number: of the sample, at least 0.

        Returns:
            array (H // scale, W // scale, 3), uint8.
        """
        if self.strength == 0:
            return downscale(hr, scale)
        rng = np.random.default_rng((self.seed, STREAM, number))
        size = tuple(length // scale for length in hr.shape[:2])
        hr = np.ascontiguousarray(hr[:size[0] * scale, :size[1] * scale])
        if self.name == "photo2":
            return Photo2(rng, self.strength).lr(hr, size)
        return _Photo(rng, self.strength).lr(hr, size, self.order)


def degrade_photo(hr, scale, photo, downgrade="photo", strength=1.0, order=1, seed=0):
    """Returns the low-resolution image of a whole photo, which its name and the seed fix, not its place in a folder.

    Args:
        hr: image (H, W, 3), uint8, of any size from `scale` up.
        scale: 2, 3, 4 or 8.
        photo: its name.
        downgrade, strength, order, seed: as for `Degradation`.
    """
    return Degradation(downgrade, strength, order, seed).lr(hr, scale, number_of(photo))


def number_of(name):
    """Returns the number of a random stream that stands for a file's name."""
    return int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:8], "big")


class _Photo(Chance):
    """The chain `photo` for one image."""

    def lr(self, hr, size, order):
        """Returns the image of `hr` that has `size` (height, width) after `order` passes."""
        image = hr
        for _ in range(order - 1):
            factor = self.rng.uniform(1, hr.shape[0] / size[0])
            image = self._passed(image, tuple(round(length * factor) for length in size), size)
        return self._passed(image, size, size)

    def _passed(self, image, new_size, lr_size):
        """Returns the image after one pass, of the size `new_size`; `lr_size` is the unit of blur."""
        if self.happens(BLUR_PROBABILITY):
            image = blur.convolve(image, self._kernel(image.shape[0] / lr_size[0]))
        image = self._reduced(image, new_size)
        if self.happens(NOISE_PROBABILITY):
            image = self._noisy(image)
        if self.happens(JPEG_PROBABILITY):
            image = self.compressed(image, JPEG_QUALITY)
        return image

    def _kernel(self, unit):
        sigma = other_sigma = unit * self.value(BLUR_SIGMA)
        if self.rng.random() < ANISOTROPIC_SHARE:
            other_sigma = unit * self.value(BLUR_SIGMA)
        radius = max(1, math.ceil(3 * max(sigma, other_sigma)))
        return blur.gaussian_kernel(radius, sigma, other_sigma, self.rng.uniform(0, math.pi))

    def _reduced(self, image, size):
        kernel = self.choice(REDUCTIONS) if self.happens(1) else "matlab"
        if kernel != "matlab":
            return degrading.resize(image, size, kernel)
        scale = image.shape[0] // size[0]
        if (size[0] * scale, size[1] * scale) == image.shape[:2]:
            return downscale(image, scale)
        return degrading.resize(image, size, "bicubic")  # the same kernel, for sizes that no whole number leads to

    def _noisy(self, image):
        sigma = self.value(NOISE_SIGMA)
        grey = self.rng.random() < GREY_SHARE
        if self.rng.random() < POISSON_SHARE:
            return degrading.add_poisson_noise(self.rng, image, (255 / sigma) ** 2, grey=grey)
        return degrading.add_gaussian_noise(self.rng, image, sigma, grey)
