"""An image before and after super-resolution."""

import functools
from dataclasses import dataclass

import numpy as np

from comparison.regions import Region, bicubic, most_detailed
from evaluation import Protocol, compare_by_bands

PROTOCOL = Protocol.named("benchmark")  # of PSNR and SSIM
REGION_SIZE = 120  # SR pixels on a side, a multiple of every scale: small enough for single pixels to be seen


@dataclass(frozen=True, eq=False)
class Comparison:
    """An image before and after super-resolution, and its original where there is one.

    What is computed of them is small, or computed band by band: images may be as large as memory allows.

    Attributes:
        lr: image (H, W, 3), uint8.
        sr: image (H scale, W scale, 3), uint8.
        scale: 2, 3, 4 or 8.
        name: the image's, to be shown.
        model_name: the network's, to be shown.
        hr: the original, of the size of `sr`, or None.
    """

    lr: np.ndarray
    sr: np.ndarray
    scale: int
    name: str
    model_name: str
    hr: np.ndarray | None = None

    @functools.cached_property
    def region(self):
        """The most detailed `Region`."""
        return most_detailed(self.lr, REGION_SIZE // self.scale, REGION_SIZE // self.scale)

    @property
    def region_is_all(self):
        """Whether the region is the whole image."""
        return (self.region.height, self.region.width) == self.lr.shape[:2]

    @functools.cached_property
    def scores(self):
        """`PSNRAndSSIM` of 'bicubic' and 'sr' against `hr`; empty where there is none."""
        if self.hr is None:
            return {}
        rows = {"bicubic": self._bicubic_rows, "sr": lambda top, bottom: self.sr[top:bottom]}
        return {name: compare_by_bands(self.hr, sr_rows, self.scale, PROTOCOL) for name, sr_rows in rows.items()}

    def bicubic(self, region):
        """Returns the pixels of a region, enlarged by bicubic interpolation."""
        return bicubic(self.lr, self.scale, region)

    def _bicubic_rows(self, top, bottom):
        first, end = top // self.scale, -(-bottom // self.scale)
        rows = self.bicubic(Region(first, 0, end - first, self.lr.shape[1]))
        return rows[top - first * self.scale:bottom - first * self.scale]

    def size_text(self):
        """Returns the sizes before and after, width first."""
        before, after = (f"{image.shape[1]} x {image.shape[0]}" for image in (self.lr, self.sr))
        return f"{before} to {after} pixels"
