"""Photos for super-resolution, in and out: all kinds of pixels, with their colour profile and resolution.

Pillow reads 8-bit files. libvips reads what Pillow would reduce, and TIFF, and writes all formats but BMP from the
array's own memory, of which Pillow would make a copy of 4 bytes a pixel, or while the pixels come.
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
from imaging import colour, piping, vips
from imaging.formats import NAMES, format_by_start, format_of
from imaging.limits import Unsupported, check_file, check_output
from imaging.marks import add_mark
from imaging.metadata import Metadata
from imaging.tags import ORIENTATION, resolution_in, sound_resolution

START = 32  # bytes at the start of a file, by which its format is known
DEFAULT_RESOLUTION = (72.0, 72.0)  # dpi that viewers assume; libvips writes one in any case


class Photo(NamedTuple):
    """An image as a file holds it, upright.

    Attributes:
        pixels: uint8 or uint16: grey (H, W), grey and alpha (H, W, 2), RGB (H, W, 3), RGB and alpha (H, W, 4). An
            array, or, to be written alone, `Strips`.
        icc_profile: the colour profile of these pixels, bytes; None stands for sRGB.
        resolution: (x, y) in dots per inch, or None where the file has none.
        metadata: what else the file tells.
        is_lossless: whether a format that is mostly lossy held it without loss, as it is to be written.
    """

    pixels: np.ndarray
    icc_profile: bytes | None = None
    resolution: tuple[float, float] | None = None
    metadata: Metadata = Metadata()
    is_lossless: bool = False

    def stripped(self):
        """Returns the photo without resolution and metadata; its colour profile belongs to the pixels and stays."""
        return self._replace(resolution=None, metadata=Metadata())


def read_photo(path):
    """Reads a file of one of the `FORMATS`, whatever its suffix, as a `Photo`.

    CMYK, YCbCr and LAB become sRGB, by the file's profile where it has one; signed and 32-bit pixels are taken where
    their values are those of 16 bits. A profile that is damaged or of another colour space is dropped. Colours that are
    told otherwise than by a profile become sRGB, or get one (`imaging.encodings`). Metadata that are damaged or too
    large (`imaging.metadata.MAX_BYTES`) are dropped.

    Raises:
        UserError: names the file and why it cannot be read.
    """
    with _reading(path), _open(path) as file:
        start = file.read(START)
        file.seek(0)
        content = _format(start).reader()(file, start, _format(start))
    return _upright(content)


def write_photo(path, photo, facts=None):
    """Writes a `Photo` atomically; the suffix of `path` chooses the format.

    PNG and TIFF are lossless. What a format cannot hold is left out as its row in `FORMATS` says: 16 bits become 8,
    alpha what it looks like on white, and colours with a profile sRGB. Texts of PNG are kept in PNG. A TIFF above 4 GiB
    is a BigTIFF. Pixels that are `Strips` are written as they come, in the formats that can be; what those end with
    is raised. With `facts`, a dict, the file gets a mark that holds them, see `marks`.

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


def _upright(content):
    """Returns the `Photo` of a `Content`."""
    tags = content.metadata.tags() if content.tags is None else content.tags
    pixels = colour.upright(content.pixels, tags.get(ORIENTATION))
    swaps_axes = colour.swaps_axes(tags.get(ORIENTATION))
    resolution = sound_resolution(content.resolution) or resolution_in(tags)
    if resolution and swaps_axes:
        resolution = resolution[::-1]
    icc_profile = colour.fitting_profile(content.icc_profile, (*pixels.shape, 1)[2])
    metadata = content.metadata.fitted(*pixels.shape[1::-1], icc_profile is not None, swaps_axes)
    return Photo(pixels, icc_profile, resolution, metadata, content.is_lossless)


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
    with piping.opened(photo.pixels, in_strips=not form.memory) as image:
        _save_image(path, form, photo, image)


def _save_image(path, form, photo, image):
    icc_profile = colour.fitting_profile(photo.icc_profile, image.bands)
    if icc_profile and not _holds_profile(form, image, icc_profile):
        is_grey, icc_profile = image.bands < 3, None
        image = vips.to_srgb(image, photo.icc_profile)
        if is_grey and form.has_grey:
            image = image.extract_band(1, n=image.bands - 2)  # grey is the same in all colours
            image = image.copy(interpretation="grey16" if image.format == "ushort" else "b-w")
    if image.format == "ushort" and form.bits == 8:
        image = (image / 257).rint().cast("uchar").copy(interpretation="b-w" if image.bands < 3 else "srgb")
    if image.hasalpha() and not form.has_alpha:
        image = image.flatten(background=255)
    if not form.has_grey:
        image = image.colourspace("srgb" if image.format == "uchar" else "rgb16")
    x, y = photo.resolution or DEFAULT_RESOLUTION
    image = image.copy(xres=x / 25.4, yres=y / 25.4)  # dots per mm
    if icc_profile:
        image = vips.with_data(image, "icc-profile-data", icc_profile)
    metadata = photo.metadata.fitted(image.width, image.height, icc_profile is not None)
    form.saver()(path, image, form, metadata, photo.is_lossless)


def _holds_profile(form, image, icc_profile):
    return len(icc_profile) <= form.profile and (image.bands > 2 or form.has_grey)
