"""The image formats that are read, most of them written as well: one row each.

To add one, add a row to `FORMATS`; what Pillow and libvips cannot do as they are gets a function, named in the row.
Only the standard library is loaded here, so that a command line can offer the formats at once.
"""

import re
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name
from typing import NamedTuple

from errors import UserError

ICC, EXIF, XMP = 8, 1, 2  # what libvips keeps beside the pixels; the resolution is one of the EXIF tags in some formats


class Format(NamedTuple):
    """An image format.

    Attributes:
        name: as users know it.
        suffixes: of its files, in lower case; the first is that of the command line.
        start: pattern of the bytes that its files begin with, up to 32.
        side: most pixels of a side that libvips writes.
        pillow: what Pillow's class for it is called, as in `PIL.PngImagePlugin.PngImageFile`.
        vips: what libvips' operations for it are called, as in `pngload` and `pngsave`.
        options: of libvips' operation that saves it.
        bits: most bits of a sample that are written, 8 or 16.
        has_grey, has_alpha: whether it can be written without colours, and with alpha.
        is_lossy: whether photos in it are mostly compressed with loss.
        profile: most bytes of a colour profile that is written; 0: none.
        most_bytes: of uncompressed pixels, which its header counts; None: any number.
        most_pixels: of an image to be read, where that is fewer than of others.
        read: 'module:function' of this package that reads it, as `imaging.pillow.read` does.
        save: 'module:function' of this package that writes it, as `imaging.png.save` does; '' where it is only
            read.
        memory: bytes for a sample that writing takes, where all pixels are needed at once; 0: it is written while its
            rows come.
        is_deep: takes the start of a file that Pillow reads; whether it has more than 8 bits, which Pillow would lose.
    """

    name: str
    suffixes: tuple[str, ...]
    start: bytes
    side: int
    pillow: str | None
    vips: str | None
    options: dict
    bits: int = 8
    has_grey: bool = True
    has_alpha: bool = True
    is_lossy: bool = False
    profile: int = 16_000_000
    most_bytes: int | None = None
    most_pixels: int | None = None
    read: str = "pillow:read"
    save: str = ""
    memory: int = 0
    is_deep: Callable = lambda start: False

    def reader(self):
        """Returns the function that reads it."""
        return resolve_name(f"{__package__}.{self.read}")

    def saver(self):
        """Returns the function that writes it."""
        return resolve_name(f"{__package__}.{self.save}")


FORMATS = (
    # Compression beyond level 3 makes photos 1 to 9 % smaller, in up to 3.4 times the time.
    Format("PNG", (".png",), rb"\x89PNG\r\n\x1a\n", 100_000_000, "Png", "png",
           {"compression": 3, "filter": "avg", "keep": ICC}, bits=16, is_deep=lambda start: start[24] == 16,
           profile=1 << 20,  # which is what Pillow reads
           read="png:read", save="png:save"),
    Format("JPEG", (".jpg", ".jpeg", ".jfif", ".jpe"), rb"\xff\xd8\xff", 65_500, "Jpeg", "jpeg",
           {"Q": 95, "subsample_mode": "off", "keep": ICC}, has_alpha=False, is_lossy=True,
           read="jpeg:read", save="jpeg:save"),
    # 98 is as near to the pixels as JPEG at 95, since it subsamples colours.
    Format("WebP", (".webp",), rb"RIFF.{4}WEBP", 16_383, "WebP", "webp", {"Q": 98, "keep": ICC}, has_grey=False,
           is_lossy=True, memory=10, read="webp:read", save="webp:save"),
    Format("TIFF", (".tif", ".tiff"), rb"II\*\0|MM\0\*|II\+\0|MM\0\+", 100_000_000, None, "tiff",
           {"compression": "deflate", "level": 3, "predictor": "horizontal", "resunit": "inch", "keep": ICC}, bits=16,
           read="tiff:read", save="tiff:save"),
    Format("BMP", (".bmp",), rb"BM", 2**31 - 1, "Bmp", None, {}, has_alpha=False, profile=0, most_bytes=2**32 - 1,
           memory=3, read="bmp:read", save="bmp:save"),
    # As near to the pixels as JPEG at 95; effort 4, libvips' own, takes 8 times the time of 2 for 2 % of the size.
    # Reading takes 15 bytes a pixel.
    Format("AVIF", (".avif",), rb".{4}ftyp(avif|avis|mif1|msf1)", 16_384, "Avif", "heif",
           {"compression": "av1", "Q": 95, "subsample_mode": "off", "effort": 2, "keep": ICC | EXIF | XMP}, bits=16,
           has_grey=False, is_lossy=True, most_pixels=100_000_000, memory=16, read="avif:read",
           save="avif:save"),
    # Its 256 colours are too few for what a network makes.
    Format("GIF", (".gif",), rb"GIF8[79]a", 65_535, "Gif", None, {}),
)
WRITTEN = tuple(form for form in FORMATS if form.save)
SUFFIXES = tuple(suffix for form in FORMATS for suffix in form.suffixes)  # of images that are found in folders
BY_SUFFIX = {suffix: form for form in WRITTEN for suffix in form.suffixes}  # of images that are written
CHOICES = tuple(form.suffixes[0].removeprefix(".") for form in WRITTEN)  # by which a user asks for a format
NAMES = f"{', '.join(form.name for form in FORMATS[:-1])} and {FORMATS[-1].name}"


def format_of(path):
    """Returns the `Format` to be written to `path`, by its suffix in upper or lower case.

    Raises:
        UserError: there is no such format, or it is only read.
    """
    suffix = Path(path).suffix
    if suffix.lower() not in BY_SUFFIX:
        raise UserError(f"{path}: there is no image format for {suffix or 'a name without suffix'}: choose one of "
                        f"{', '.join(BY_SUFFIX)}")
    return BY_SUFFIX[suffix.lower()]


def format_by_suffix(path):
    """Returns the `Format` that the suffix of an image file tells, or None; it may be one that is only read."""
    return next((form for form in FORMATS if Path(path).suffix.lower() in form.suffixes), None)


def output_suffix(suffix):
    """Returns the suffix of what is made of a file with this one: the same, but PNG's where it is only read."""
    return suffix if suffix.lower() in BY_SUFFIX or suffix.lower() not in SUFFIXES else ".png"


def format_by_start(start):
    """Returns the `Format` of a file with these first bytes, or None."""
    return next((form for form in FORMATS if re.match(form.start, start, re.DOTALL)), None)
