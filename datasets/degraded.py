"""Pairs of images whose low resolution is made of the high one: whole, or patch by patch."""

from typing import NamedTuple

from datasets.degradations import Degradation, number_of
from datasets.div2k import StoredImage, stored_hr_images


class DegradedPair(NamedTuple):
    """A stored image in high resolution, and how its low resolution is made.

    Attributes:
        name: of its file, without suffix.
        hr: `StoredImage`.
        degradation: `Degradation`.
        scale: 2, 3, 4 or 8.
    """

    name: str
    hr: StoredImage
    degradation: Degradation
    scale: int

    @property
    def folder(self):
        """The folder that messages name."""
        return self.hr.path.parent

    @property
    def lr_shape(self):
        """Shape (H, W, 3) of the low-resolution image."""
        height, width, channels = self.hr.shape
        return height // self.scale, width // self.scale, channels

    def load(self, scale):
        """Returns `hr`, cropped to a multiple of `scale`, and `lr`, (H, W, 3) uint8, which the name fixes."""
        height, width, _ = self.lr_shape
        hr = self.hr.map()[:height * scale, :width * scale]
        return hr, self.degradation.lr(hr, scale, number_of(self.name))

    def crop(self, y, x, size, scale, number):
        """Returns the patch of `hr` whose low-resolution one has its corner at (y, x), and `lr` made of it alone.

        Args:
            y, x: in LR pixels.
            size: of the LR patch.
            scale: of the pair.
            number: of the sample, which fixes what is random.
        """
        hr = self.hr.map()[y * scale:(y + size) * scale, x * scale:(x + size) * scale]
        return hr, self.degradation.lr(hr, scale, number)


def find_degraded_pairs(dataset, subset, scale, degradation, ids=None):
    """Returns a `DegradedPair` for each high-resolution array; arguments and errors are those of `find_pairs`."""
    return [DegradedPair(name, image, degradation, scale) for name, image in stored_hr_images(dataset, subset, ids)
            if min(image.shape[:2]) >= scale]
