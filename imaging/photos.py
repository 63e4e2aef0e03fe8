"""Photos for super-resolution, in and out: all kinds of pixels, with their colour profile and resolution.

Pillow reads 8-bit files. libvips reads 16-bit ones, which Pillow would reduce, and TIFF, and writes all formats but BMP
from the array's own memory, of which Pillow would make a copy of 4 bytes a pixel.
"""

import contextlib
import os
import re
import struct
import warnings
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from errors import UserError
from files import atomic_path
from imaging import colour, tiff, vips
from imaging.limits import FORMATS, Unsupported, check_frames, check_output, check_size

DAMAGE = (SyntaxError, ValueError, EOFError, LookupError, TypeError, ArithmeticError, RuntimeError, struct.error,
          zlib.error)  # what Pillow raises on a damaged file, besides OSError
ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 274, 282, 283, 296  # tags of EXIF and TIFF
PLUGINS = {PngImageFile: rb"\x89PNG\r\n\x1a\n", JpegImageFile: rb"\xff\xd8\xff", WebPImageFile: rb"RIFF.{4}WEBP",
           BmpImageFile: rb"BM"}  # by the pattern that a file begins with
UNITS = {2: 1.0, 3: 2.54}  # inch and centimetre: dots of the unit to dots per inch
DEFAULT_RESOLUTION = (72.0, 72.0)  # dpi that viewers assume; libvips writes one in any case
MAX_RESOLUTION = 1e6  # dpi; more than that is damage

KEEP_ICC, KEEP_EXIF = 8, 1  # metadata to write; in JPEG the resolution is one of the EXIF tags
SAVE_OPTIONS = {  # of libvips; more than level 3 makes photos 1 to 9 % smaller, in up to 3.4 times the time
    "PNG": {"compression": 3, "filter": "avg", "keep": KEEP_ICC},
    "JPEG": {"Q": 95, "subsample_mode": "off", "keep": KEEP_ICC | KEEP_EXIF},
    "WebP": {"Q": 98, "keep": KEEP_ICC},  # as near to the pixels as JPEG at 95, since it subsamples colours
    "TIFF": {"compression": "deflate", "level": 3, "predictor": "horizontal", "resunit": "inch", "keep": KEEP_ICC},
}
BMP_STRIP = 128  # rows that are written at once
BIG_TIFF = 2**32 - 2**26  # bytes of pixels: deflate may add a little, and plain TIFF ends at 4 GiB


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
    """Reads a PNG, JPEG, WebP, TIFF or BMP file, whatever its suffix, as a `Photo`.

    CMYK, YCbCr and LAB become sRGB, by the file's profile where it has one; signed and 32-bit pixels are taken where
    their values are those of 16 bits. A profile that is damaged or of another colour space is dropped.

    Raises:
        UserError: names the file and why it cannot be read.
    """
    with _reading(path), open(path, "rb") as file:
        start = file.read(32)
        file.seek(0)
        if start[:4] in tiff.STARTS:
            pixels, tags = tiff.read(file)
            icc_profile, resolution = tags.get(tiff.ICC_PROFILE), None
        else:
            pixels, tags, icc_profile, resolution = _read_with_pillow(file, start)
        pixels = colour.upright(pixels, tags.get(ORIENTATION))
        resolution = _sound(resolution) or _resolution(tags)
        if resolution and colour.swaps_axes(tags.get(ORIENTATION)):
            resolution = resolution[::-1]
        channels = (*pixels.shape, 1)[2]
        return Photo(pixels, colour.fitting_profile(icc_profile, channels), resolution)


def write_photo(path, photo):
    """Writes a `Photo` atomically; the suffix of `path` chooses the format.

    PNG and TIFF are lossless. Other formats get 8 bits; JPEG and BMP get no alpha, but what it looks like on white.
    JPEG has quality 95 without chroma subsampling, and a TIFF above 4 GiB is a BigTIFF.

    Raises:
        UserError: the format cannot hold the size.
        WriteError: the system refuses to write.
    """
    path = Path(path)
    check_output(path, *photo.pixels.shape[1::-1])
    with atomic_path(path) as temporary:
        temporary.touch()  # where it may not be written, the system's error says why
        with vips.errors():
            _save(temporary, FORMATS[path.suffix.lower()], photo)


def image_size(path):
    """Returns width and height of an image file by its header alone, not turned upright; None where it has none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                return image.size
    except (OSError, Image.DecompressionBombError, *DAMAGE):
        return None


@contextlib.contextmanager
def _reading(path):
    """Turns what happens when a file cannot be read into a `UserError`, and silences Pillow's warnings."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (Unsupported, MemoryError) as error:
        raise UserError(f"{path}: cannot be read as an image: {error or 'out of memory'}") from error
    except (OSError, *DAMAGE) as error:
        if isinstance(error, OSError) and error.strerror:  # the system's own cause, such as 'Permission denied'
            raise UserError(f"{path}: {error.strerror}") from error
        detail = " ".join(str(error).replace(f"{path}: ", "").split())
        raise UserError(f"{path}: cannot be read as an image: it is damaged, truncated or not supported"
                        f"{f' ({detail})' if detail else ''}") from error


def _read_with_pillow(file, start):
    """Returns pixels, EXIF tags, colour profile and resolution of a PNG, JPEG, WebP or BMP file.

    Args:
        file: binary file.
        start: its first bytes.
    """
    with _open_with_pillow(file, start) as image:
        check_size(*image.size)
        check_frames(getattr(image, "n_frames", 1))
        image.load()
        tags = _exif(image)
        icc_profile = None if image.mode == "CMYK" else image.info.get("icc_profile")  # CMYK becomes sRGB
        resolution = image.info.get("dpi")
        if image.format == "JPEG" and image.info.get("jfif_unit") not in (1, 2):
            resolution = None  # Pillow guesses one
        if not (image.format == "PNG" and start[24] == 16):  # the bit depth
            return colour.from_pillow(image), tags, icc_profile, resolution
    del image  # and its memory
    with vips.errors():
        return vips.open_file("pngload", file.name).numpy(), tags, icc_profile, resolution


def _open_with_pillow(file, start):
    """Opens a file by Pillow's class for its format; `Image.open` would not tell the size of too large an image."""
    if not start:
        raise Unsupported("it is empty, not an image")
    plugins = [plugin for plugin, beginning in PLUGINS.items() if re.match(beginning, start, re.DOTALL)]
    if not plugins:
        raise Unsupported("not an image, or of an unknown format: PNG, JPEG, WebP, TIFF and BMP are read")
    try:
        return plugins[0](file)
    except Image.DecompressionBombError:  # which WebP raises by itself
        with vips.errors():
            image = vips.open_file("webpload", file.name)
            check_size(image.width, image.height)
        raise


def _exif(image):
    """Returns the EXIF tags of a loaded image that are used here, of which a damaged file has none."""
    try:
        exif = image.getexif()
        return {tag: exif.get(tag) for tag in (ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT)}
    except (OSError, *DAMAGE):
        return {}


def _resolution(tags):
    """Returns the resolution that the tags of EXIF or TIFF tell, (x, y) in dpi, or None."""
    unit = UNITS.get(tags.get(RESOLUTION_UNIT) or 2)
    try:
        return _sound([float(tags[tag]) * unit for tag in (X_RESOLUTION, Y_RESOLUTION)])
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None


def _sound(resolution):
    """Returns a resolution as a pair of floats, or None where there is none or it makes no sense."""
    if resolution and all(0 < value < MAX_RESOLUTION for value in resolution):
        return tuple(float(value) for value in resolution)
    return None


def _save(path, name, photo):
    """Writes a photo in the format `name`."""
    image = vips.from_array(photo.pixels)
    if image.format == "ushort" and name not in ("PNG", "TIFF"):
        image = (image / 257).rint().cast("uchar").copy(interpretation="b-w" if image.bands < 3 else "srgb")
    if image.hasalpha() and name in ("JPEG", "BMP"):
        image = image.flatten(background=255)
    if name == "BMP":
        _save_bmp(path, image, photo.resolution or DEFAULT_RESOLUTION)
        return
    if name == "WebP":
        image = image.colourspace("srgb")
    x, y = photo.resolution or DEFAULT_RESOLUTION
    image = image.copy(xres=x / 25.4, yres=y / 25.4)  # dots per mm
    icc_profile = colour.fitting_profile(photo.icc_profile, image.bands)
    if icc_profile:
        image.set_type(vips.load().GValue.blob_type, "icc-profile-data", icc_profile)
    options = {"bigtiff": photo.pixels.nbytes > BIG_TIFF} if name == "TIFF" else {}
    getattr(image, f"{name.lower()}save")(os.fsencode(path), **SAVE_OPTIONS[name], **options)


def _save_bmp(path, image, resolution):
    """Writes a grey or RGB image of libvips as a BMP of 8 or 24 bits, in strips from the bottom, where it begins."""
    stride = (image.bands * image.width + 3) // 4 * 4
    palette = bytes(value for grey in range(256) for value in (grey, grey, grey, 0)) if image.bands == 1 else b""
    start, size = 54 + len(palette), stride * image.height
    x, y = (round(value / 0.0254) for value in resolution)  # pixels per metre
    with open(path, "wb") as file:
        file.write(struct.pack("<2sIIIIiiHHIIiiII", b"BM", start + size, 0, start, 40, image.width, image.height, 1,
                               8 * image.bands, 0, size, x, y, 0, 0) + palette)
        for bottom in range(image.height, 0, -BMP_STRIP):
            top = max(bottom - BMP_STRIP, 0)
            strip = Image.fromarray(image.crop(0, top, image.width, bottom - top).numpy())
            file.write(strip.tobytes("raw", "L" if image.bands == 1 else "BGR", stride, -1))
