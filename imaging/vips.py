"""libvips, which reads and writes what Pillow cannot, or only with copies: imported when it is needed, and silent."""

import contextlib
import functools
import logging
import os
import re
import sys
import threading

import numpy as np

_MESSAGES = threading.Lock()
ATTEMPTS = 10
MARK = b"mark-of-listen"


@functools.cache
def load():
    """Returns the module `pyvips`: without a cache, which would keep images in memory, and without log output.

    pyvips would have libvips call Python's logging from threads of its own, in which Python has crashed.
    """
    is_ours = "pyvips" not in sys.modules
    os.environ["VIPS_WARNING"] = "1"  # libvips reads it when it is loaded, and drops its warnings itself
    logging.getLogger("pyvips").propagate = False
    import pyvips

    if is_ours:
        pyvips._remove_log_handler()
    pyvips.cache_set_max(0)
    return pyvips


@contextlib.contextmanager
def errors():
    """Turns an error of libvips in the block into an `OSError` of one line: the system's cause where there is one."""
    try:
        yield
    except load().Error as error:
        raise OSError(_cause(error.detail)) from error


def listen(call):
    """Returns what `call` returns, and what libvips had to say meanwhile without an error.

    Its buffer of messages is one for all threads, and an error in any of them clears it: a mark in it shows whether it
    was cleared, and then `call` is called again.

    Raises:
        OSError: of libvips, as in `errors`.
    """
    library = load().vips_lib
    with _MESSAGES, errors():
        for _ in range(ATTEMPTS):
            library.vips_error_clear()
            library.vips_operation_new(MARK)  # there is no such operation, which libvips notes
            result = call()
            said = load().ffi.string(library.vips_error_buffer())
            if MARK in said:
                library.vips_error_clear()
                return result, said.decode("utf-8", "replace")
    raise OSError("what libvips said of it was lost")


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


def to_array(image):
    """Returns the pixels of an image of libvips, (H, W) of one band or (H, W, C); `numpy()` gives 1 x 1 no shape."""
    shape = (image.height, image.width) if image.bands == 1 else (image.height, image.width, image.bands)
    return image.numpy().reshape(shape)


def save(path, image, form, **options):
    """Writes an image of libvips, in the format and with the options of its row in `FORMATS`, and more `options`."""
    getattr(image, f"{form.vips}save")(os.fsencode(path), **(form.options | options))


def with_data(image, name, data):
    """Returns an image of libvips with bytes attached: 'icc-profile-data', 'exif-data' or 'xmp-data'."""
    image = image.copy()
    image.set_type(load().GValue.blob_type, name, data)
    return image


def to_srgb(image, icc_profile):
    """Returns an image of libvips with this profile in sRGB, with its bits and alpha; grey becomes RGB.

    It is relative colorimetric with black point compensation, as in photo editors.
    """
    depth = 16 if image.format == "ushort" else 8
    image = with_data(image, "icc-profile-data", icc_profile).icc_transform(
        "srgb", embedded=True, intent="relative", black_point_compensation=True, depth=depth)
    image = image.copy(interpretation="rgb16" if depth == 16 else "srgb")
    image.remove("icc-profile-data")
    return image


def _cause(detail):
    system = re.search(r"system error: (.+)", detail)
    if system:
        return system[1]
    lines = [line.strip() for line in detail.splitlines() if line.strip()]
    return "" if not lines else re.sub(r"^(tiff2vips|vips\w*|\w+save): ", "", lines[0])
