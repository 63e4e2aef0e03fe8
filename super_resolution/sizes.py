"""Outputs of any size: the network's are resized once at the end."""

from imaging.resize import Resizing


def output_size(shape, factor):
    """Returns two lengths, such as height and width, `factor` times as large: rounded, and at least 1."""
    return tuple(max(1, round(length * factor)) for length in shape[:2])


def resized(sr, shape, scale, factor):
    """Returns an image that is `factor` times as large as its photo; it is bicubic, and antialiased where it shrinks.

    Args:
        sr: the network's output, an array (H scale, W scale) or (H scale, W scale, C), of any dtype and with alpha or
            without.
        shape: of the photo, (H, W, ...).
        scale: the network's.
        factor: above 0.
    """
    if factor == scale:
        return sr
    height, width = output_size(shape, factor)
    return Resizing(sr, factor / scale).part(slice(height), slice(width))
