"""What the readers of the formats return."""

from typing import NamedTuple

import numpy as np

from imaging.metadata import Metadata


class Content(NamedTuple):
    """What a file holds.

    Attributes:
        pixels: as in `Photo`, but not yet turned upright.
        icc_profile: the colour profile, or None.
        resolution: (x, y) in dpi where the file tells it otherwise than by tags, or None.
        metadata: `Metadata`, with the tags that go with the pixels.
        tags: the tags, where they are not those of `metadata`.
        is_lossless: whether the pixels came through a lossy format's lossless kind.
    """

    pixels: np.ndarray
    icc_profile: bytes | None = None
    resolution: tuple | None = None
    metadata: Metadata = Metadata()
    tags: dict | None = None
    is_lossless: bool = False
