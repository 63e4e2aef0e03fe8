"""Outputs of any size: the network's are resized once at the end."""

from imaging.resize import resize_strips


def output_size(shape, factor):
    """Returns two lengths, such as height and width, `factor` times as large: rounded, and at least 1."""
    return tuple(max(1, round(length * factor)) for length in shape[:2])


def resized(strips, shape, scale, factor):
    """Returns the strips, from the top, of an image that is `factor` times as large as its photo.

    It is bicubic, and antialiased where it shrinks.

    Args:
        strips: of the network's output, arrays (h, W scale) or (h, W scale, C), of any dtype and with alpha or without.
        shape: of the photo, (H, W, ...).
        scale: the network's.
        factor: above 0.
    """
    if factor == scale:
        return strips
    return resize_strips(strips, (shape[0] * scale, shape[1] * scale), factor / scale, output_size(shape, factor))
