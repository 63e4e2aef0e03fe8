"""Pairs of images whose low resolution is made of the high one: whole, or patch by patch."""

from typing import NamedTuple

from choices import DEGRADATIONS
from datasets.arrays import StoredImage
from datasets.degradations import Degradation, number_of
from datasets.div2k import find_lr_dir, find_pairs, hr_dir, stored_hr_images
from errors import UserError


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
    def paths(self):
        """The files of its arrays."""
        return (self.hr.path,)

    @property
    def lr_shape(self):
        """Shape (H, W, 3) of the low-resolution image."""
        height, width, channels = self.hr.shape
        return height // self.scale, width // self.scale, channels

    def load(self, scale):
        """Returns `hr`, cropped to a multiple of `scale`, and `lr`, (H, W, 3) uint8, which the name fixes."""
        height, width, _ = self.lr_shape
        hr = self.hr.read(0, height * scale)[:, :width * scale]
        return hr, self.degradation.lr(hr, scale, number_of(self.name))

    def crop(self, y, x, size, scale, number):
        """Returns the patch of `hr` whose low-resolution one has its corner at (y, x), and `lr` made of it alone.

        Args:
            y, x: in LR pixels.
            size: of the LR patch.
            scale: of the pair.
            number: of the sample, which fixes what is random.
        """
        hr = self.hr.read(y * scale, (y + size) * scale)[:, x * scale:(x + size) * scale]
        return hr, self.degradation.lr(hr, scale, number)


def find_downgrade(name, strength, order, seed):
    """Returns what `find_or_make_pairs` takes: the `Degradation` of that name where there is one, or the name."""
    return Degradation(name, strength, order, seed) if name in DEGRADATIONS else name


def find_or_make_pairs(dataset, subset, scale, downgrade, ids=None, on_bad=None):
    """Returns the pairs of a data set, stored ones, or those whose low resolution is made.

    Args:
        downgrade: name of a stored downgrade, as for `find_pairs`, or a `Degradation`: then stored arrays of its name
            are taken where there are some, and otherwise only the high-resolution arrays are needed.
        dataset, subset, scale, ids, on_bad: as for `find_pairs`.

    Raises:
        UserError: as `find_pairs`.
    """
    if isinstance(downgrade, str):
        return find_pairs(dataset, subset, scale, downgrade, ids, on_bad)
    if find_lr_dir(dataset, subset, downgrade.name, scale).is_dir():
        return find_pairs(dataset, subset, scale, downgrade.name, ids, on_bad)
    pairs = [DegradedPair(name, image, downgrade, scale) for name, image in stored_hr_images(dataset, subset, ids)
             if min(image.shape[:2]) >= scale]
    if not pairs:
        raise UserError(f"{hr_dir(dataset, subset)}: none of its images is as large as {scale} x {scale} pixels")
    print(f"{hr_dir(dataset, subset)}: low-resolution images are made ({downgrade})")
    return pairs
