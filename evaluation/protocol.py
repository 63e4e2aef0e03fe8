"""What of two images is compared."""

from typing import NamedTuple

import numpy as np

from choices import PROTOCOLS


class Protocol(NamedTuple):
    """How two images are compared: which channels, without which border, rounded or not.

    Attributes:
        channels: 'rgb', or 'y' for `y_channel`, which is computed of the (rounded) RGB image and itself not rounded.
        border: pixels removed on every side: a number, or one that depends on the scale: 'scale' or 'scale+6'.
        rounded: whether `sr` is rounded half up and clipped to whole numbers in [0, 255] first.
    """

    channels: str
    border: str
    rounded: bool

    @classmethod
    def named(cls, name):
        """Returns the protocol `name` of `choices.PROTOCOLS`: 'original' is that of the original suite's figures."""
        return cls(**PROTOCOLS[name])

    def prepare(self, image, scale):
        """Returns what is compared of an image (H, W, 3) in [0, 255], as float32 (H', W', channels)."""
        border = self.border_pixels(scale)
        image = np.asarray(image)[border:image.shape[0] - border, border:image.shape[1] - border]
        is_whole = image.dtype == np.uint8
        image = image.astype(np.float32)
        if self.rounded and not is_whole:
            image += 0.5
            np.floor(image, out=image)
            np.clip(image, 0, 255, out=image)
        return y_channel(image)[..., None] if self.channels == "y" else image

    def border_pixels(self, scale):
        """Returns the border to be removed at a scale, in pixels."""
        return sum(scale if term == "scale" else int(term) for term in str(self.border).split("+"))

    def __str__(self):
        channels = {"y": "Y channel", "rgb": "RGB"}[self.channels]
        rounding = "rounded" if self.rounded else "neither clipped nor rounded"
        return f"{channels}, border of {self.border} pixels removed, {rounding}"


def y_channel(image):
    """Returns the luma, in [16, 235], of RGB images (..., 3) in [0, 255]: BT.601, as MATLAB's rgb2ycbcr."""
    red, green, blue = (image[..., channel] for channel in range(3))
    return 16 + red * (65.481 / 255) + green * (128.553 / 255) + blue * (24.966 / 255)
