"""Photos for super-resolution, in and out: all kinds of pixels, with their colour profile and resolution.

Pillow reads 8-bit files. libvips reads what Pillow would reduce, and TIFF, and writes all formats but BMP from the
array's own memory, of which Pillow would make a copy of 4 bytes a pixel.
"""

import contextlib
import logging
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from errors import UserError
from files import atomic_path
from imaging import colour, vips
from imaging.formats import NAMES, format_by_start, format_of
from imaging.limits import Unsupported, check_file, check_output
from imaging.marks import add_mark
from imaging.tags import ORIENTATION, resolution_in, sound_resolution

START = 32  # bytes at the start of a file, by which its format is known
DEFAULT_RESOLUTION = (72.0, 72.0)  # dpi that viewers assume; libvips writes one in any case


class Photo(NamedTuple):
    """An image as a file holds it.

    Attributes:
        pixels: upright, uint8 or uint16: grey (H, W), grey and alpha (H, W, 2), RGB (H, W, 3), RGB and alpha (H, W, 4).
        icc_profile: the colour profile of these pixels, bytes; None stands for sRGB.
        resolution: (x, y) in dots per inch, or None where the file has none.
    """

    pixels: np.ndarray
    icc_profile: bytes | None = None
    resolution: tuple[float, float] | None = None


def read_photo(path):
    """Reads a file of one of the `FORMATS`, whatever its suffix, as a `Photo`.

    CMYK, YCbCr and LAB become sRGB, by the file's profile where it has one; signed and 32-bit pixels are taken where
    their values are those of 16 bits. A profile that is damaged or of another colour space is dropped.

    Raises:
        UserError: names the file and why it cannot be read.
    """
    with _reading(path), _open(path) as file:
        start = file.read(START)
        file.seek(0)
        pixels, tags, icc_profile, resolution = _format(start).reader()(file, start, _format(start))
        pixels = colour.upright(pixels, tags.get(ORIENTATION))
        resolution = sound_resolution(resolution) or resolution_in(tags)
        if resolution and colour.swaps_axes(tags.get(ORIENTATION)):
            resolution = resolution[::-1]
        channels = (*pixels.shape, 1)[2]
        return Photo(pixels, colour.fitting_profile(icc_profile, channels), resolution)


def write_photo(path, photo, facts=None):
    """Writes a `Photo` atomically; the suffix of `path` chooses the format.

    PNG and TIFF are lossless. What a format cannot hold is left out as its row in `FORMATS` says: 16 bits become 8, and
    alpha what it looks like on white. A TIFF above 4 GiB is a BigTIFF. With `facts`, a dict, the file gets a mark that
    holds them, see `marks`.

    Raises:
        UserError: the format cannot hold the size.
        WriteError: the system refuses to write.
    """
    path = Path(path)
    check_output(path, *photo.pixels.shape[1::-1])
    with atomic_path(path) as temporary:
        temporary.touch()  # where it may not be written, the system's error says why
        with vips.errors():
            _save(temporary, format_of(path), photo)
        if facts is not None:
            add_mark(temporary, facts)


def image_size(path):
    """Returns width and height of an image file by its header alone, not turned upright; None where it has none."""
    try:
        with _quiet(), _open(path) as file, Image.open(file) as image:
            return image.size
    except Exception:  # noqa: BLE001 - Pillow lets errors of any class escape, and reading the file will tell
        return None


def _open(path):
    check_file(path)
    return open(path, "rb")


@contextlib.contextmanager
def _quiet():
    """Silences Pillow's warnings and what it logs."""
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _reading(path):
    """Turns what happens when a file cannot be read into a `UserError`."""
    try:
        with _quiet():
            yield
    except (Unsupported, MemoryError) as error:
        raise UserError(f"{path}: cannot be read as an image: {error or 'out of memory'}") from error
    except Exception as error:  # decoders let errors of any class escape, and one file must not end a folder
        if isinstance(error, OSError) and error.strerror:  # the system's own cause, such as 'Permission denied'
            raise UserError(f"{path}: {error.strerror}") from error
        detail = " ".join(str(error).replace(f"{path}: ", "").split())
        raise UserError(f"{path}: cannot be read as an image: it is damaged, truncated or not supported"
                        f"{f' ({detail})' if detail else ''}") from error


def _format(start):
    """Returns the `Format` of a file with these first bytes."""
    if not start:
        raise Unsupported("it is empty, not an image")
    form = format_by_start(start)
    if not form:
        raise Unsupported(f"not an image, or of an unknown format: {NAMES} are read")
    return form


def _save(path, form, photo):
    """Writes a photo in a format, with what the format can hold."""
    image = vips.from_array(photo.pixels)
    if image.format == "ushort" and form.bits == 8:
        image = (image / 257).rint().cast("uchar").copy(interpretation="b-w" if image.bands < 3 else "srgb")
    if image.hasalpha() and not form.has_alpha:
        image = image.flatten(background=255)
    if not form.has_grey:
        image = image.colourspace("srgb" if image.format == "uchar" else "rgb16")
    x, y = photo.resolution or DEFAULT_RESOLUTION
    image = image.copy(xres=x / 25.4, yres=y / 25.4)  # dots per mm
    icc_profile = colour.fitting_profile(photo.icc_profile, image.bands)
    if icc_profile:
        image.set_type(vips.load().GValue.blob_type, "icc-profile-data", icc_profile)
    form.saver()(path, image, form)
