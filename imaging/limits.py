"""What is accepted: the image formats, and how large an image may be."""

from pathlib import Path

from errors import UserError

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WebP", ".tif": "TIFF", ".tiff": "TIFF",
           ".bmp": "BMP"}  # by suffix
SIDES = {"PNG": 100_000_000, "JPEG": 65_500, "WebP": 16_383, "TIFF": 100_000_000, "BMP": 2**31 - 1}  # libvips' limits
MAX_BMP = 2**32 - 1  # bytes: its header counts them with 32 bits
MAX_PIXELS = 178_956_970  # of an input: twice Pillow's limit, from which on it is taken for a decompression bomb


class Unsupported(ValueError):
    """An image is sound, but not of a kind that is read; the text says why."""


def check_size(width, height):
    """Raises `Unsupported` if an image to be read has too many pixels: a small file can unpack to many gigabytes."""
    if width * height > MAX_PIXELS:
        raise Unsupported(f"it has {width} x {height} pixels, and images of up to {MAX_PIXELS:,} pixels are read")


def check_frames(count, noun="frames"):
    """Raises `Unsupported` if an image to be read has more than one frame or page."""
    if count > 1:
        raise Unsupported(f"it has {count} {noun}, and only still images are read: save each as a file of its own")


def check_output(path, width, height):
    """Checks that the format of `path`, which its suffix says, can hold an image of this size.

    Raises:
        UserError: it cannot, or there is no such format.
    """
    suffix = Path(path).suffix
    if suffix.lower() not in FORMATS:
        raise UserError(f"{path}: there is no image format for {suffix or 'a name without suffix'}: choose one of "
                        f"{', '.join(FORMATS)}")
    name = FORMATS[suffix.lower()]
    if max(width, height) > SIDES[name]:
        limit = f"{SIDES[name]:,} pixels a side"
    elif name == "BMP" and _bmp_bytes(width, height) > MAX_BMP:
        limit = "files of 4 GiB"
    else:
        return
    raise UserError(f"{path}: {width} x {height} pixels are too many for {name}, which ends at {limit}: choose PNG or "
                    "TIFF")


def _bmp_bytes(width, height):
    return (3 * width + 3) // 4 * 4 * height + 54
