"""libvips, which reads and writes what Pillow cannot, or only with copies: imported when it is needed, and silent."""

import contextlib
import functools
import logging
import os
import re

import numpy as np


@functools.cache
def load():
    """Returns the module `pyvips`: without a cache, which would keep images in memory, and without log output."""
    logging.getLogger("pyvips").propagate = False
    import pyvips

    pyvips.cache_set_max(0)
    return pyvips


@contextlib.contextmanager
def errors():
    """Turns an error of libvips in the block into an `OSError` of one line: the system's cause where there is one."""
    try:
        yield
    except load().Error as error:
        raise OSError(_cause(error.detail)) from error


def open_file(loader, path, **options):
    """Opens an image file, to be read once from the top; a damaged or truncated one is an error when it is read.

    Args:
        loader: name of a libvips operation such as 'pngload'.
    """
    return getattr(load().Image, loader)(os.fsencode(path), access="sequential", fail_on="error", **options)


def from_array(pixels):
    """Returns an image of libvips on the memory of an array (H, W) or (H, W, C), uint8 or uint16, with 1 to 4 channels.

    An even number of channels includes alpha.
    """
    pixels = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("="))
    height, width, channels = (*pixels.shape, 1)[:3]
    kind, grey, rgb = {"uint8": ("uchar", "b-w", "srgb"), "uint16": ("ushort", "grey16", "rgb16")}[pixels.dtype.name]
    image = load().Image.new_from_memory(pixels.data, width, height, channels, kind)
    return image.copy(interpretation=grey if channels < 3 else rgb)


def save(path, image, form, **options):
    """Writes an image of libvips, in the format and with the options of its row in `FORMATS`, and more `options`."""
    getattr(image, f"{form.vips}save")(os.fsencode(path), **form.options, **options)


def _cause(detail):
    system = re.search(r"system error: (.+)", detail)
    if system:
        return system[1]
    lines = [line.strip() for line in detail.splitlines() if line.strip()]
    return "" if not lines else re.sub(r"^(tiff2vips|vips\w*|\w+save): ", "", lines[0])
