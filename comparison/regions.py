"""Windows of an image: the most detailed one, and what is in it without computing the rest."""

from collections import deque
from typing import NamedTuple

import numpy as np

from imaging.resize import imresize

BICUBIC_REACH = 2  # LR pixels on either side that an enlarged pixel depends on
BORDER = "replicate"  # of the bicubic enlargement, as in `evaluate.py --images`


class Region(NamedTuple):
    """A window of an image, in LR pixels."""

    top: int
    left: int
    height: int
    width: int

    def of(self, image, scale=1):
        """Returns the region's pixels, a view of `image`, which is `scale` times as large as the LR image."""
        return image[self.top * scale:(self.top + self.height) * scale,
                     self.left * scale:(self.left + self.width) * scale]

    def grown(self, height, width, image_shape):
        """Returns the region of `height` x `width` (or the image's) around this one that lies inside the image."""
        height, width = min(height, image_shape[0]), min(width, image_shape[1])
        top = min(max(self.top + (self.height - height) // 2, 0), image_shape[0] - height)
        left = min(max(self.left + (self.width - width) // 2, 0), image_shape[1] - width)
        return Region(top, left, height, width)


def most_detailed(lr, height, width):
    """Returns the region of `height` x `width` (or the image's, where that is smaller) with most gradient energy.

    The first one, row by row, where several have the same. Rows come and go one by one, so that nothing of the
    image's size is computed.

    Args:
        lr: image (H, W, 3), uint8.
        height: of the region, in LR pixels.
        width: of the region, in LR pixels.
    """
    height, width = min(height, lr.shape[0]), min(width, lr.shape[1])
    rows, energy, best, region = deque(), 0, -1, None
    for y, row in enumerate(_gradient_energy(lr)):
        sums = np.cumsum(row)
        sums[width:] -= sums[:-width].copy()
        rows.append(sums[width - 1:])
        energy = energy + rows[-1]
        if len(rows) > height:
            energy -= rows.popleft()
        if len(rows) == height and energy.max() > best:
            best, region = energy.max(), Region(y + 1 - height, int(energy.argmax()), height, width)
    return region


def bicubic(lr, scale, region):
    """Returns `region` of the bicubic enlargement of `lr` (H, W, 3), uint8, computed of what it depends on only."""
    around = region.grown(region.height + 2 * BICUBIC_REACH, region.width + 2 * BICUBIC_REACH, lr.shape)
    within = region._replace(top=region.top - around.top, left=region.left - around.left)
    return within.of(imresize(around.of(lr), scale, BORDER), scale)


def _gradient_energy(lr):
    """Yields each row's squared differences to the right and upper neighbour, in whole numbers: the same everywhere."""
    above = None
    for row in lr:
        luma = row.astype(np.int64) @ (2, 5, 1)
        energy = np.diff(luma, append=luma[-1:]) ** 2
        if above is not None:
            energy += (luma - above) ** 2
        yield energy
        above = luma
