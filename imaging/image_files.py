"""Finding image files, and reading them as plain RGB."""

import numpy as np

from errors import UserError, printable
from files import is_temporary
from imaging import colour
from imaging.formats import SUFFIXES
from imaging.photos import read_photo
from imaging.rounding import round_half_up

FEWER_BITS = (8, 10, 12, 14)  # that files of 16 bits may hold


def find_images(folder, recursive=False):
    """Returns the sorted paths of the images in `folder`, by suffix in upper or lower case.

    Raises:
        UserError: there is no such folder, or it holds no image.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder")
    found = folder.rglob("*") if recursive else folder.iterdir()
    paths = sorted(path for path in found
                   if path.suffix.lower() in SUFFIXES and not is_temporary(path) and path.is_file())
    if not paths:
        raise UserError(f"{folder}: there are no images in it ({', '.join(SUFFIXES)})")
    return paths


def read_image(path, white_level=None, narrow=None):
    """Reads an image file as `read_photo` does, but as RGB without alpha, (H, W, 3) uint8.

    Args:
        path: of the file.
        white_level: the value in files of 16 bits that is white, such as 4095 where they hold 12 bits; by default
            65535.
        narrow: a dict in which the largest value of such a file is noted, by its path, where there is no
            `white_level` and the values end where those of 14 bits or fewer do.

    Raises:
        UserError: names the file and why it cannot be read, or a value above the white level.
    """
    pixels = read_photo(path).pixels
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    pixels = pixels[..., :1 if pixels.shape[2] < 3 else 3]
    if pixels.dtype != np.uint8:
        largest = int(pixels.max())
        if white_level is not None and largest > white_level:
            raise UserError(f"{path}: holds the value {largest}, above the white level {white_level}")
        if white_level is None and narrow is not None and 0 < largest < 2 ** FEWER_BITS[-1]:
            narrow[path] = largest
        pixels = colour.to_8_bits(pixels, white_level or 65535)
    return np.ascontiguousarray(pixels if pixels.shape[2] == 3 else pixels[..., [0, 0, 0]])


def range_warnings(narrow):
    """Returns a line for each range of values that `read_image` has noted, which names it and one of the files."""
    lines, smallest = [], 0
    for white in (2**bits - 1 for bits in FEWER_BITS):
        found = sorted(path for path, largest in narrow.items() if smallest < largest <= white)
        if found:
            lines.append(f"warning: 16-bit images whose values end at {white} or below: {len(found)}, such as "
                         f"{printable(found[0])} (0 to {narrow[found[0]]}): they are dark, unless it is said that "
                         f"{white} is white, by --white-level {white}")
        smallest = white
    return lines


def to_uint8(image):
    """Rounds an image in [0, 255] half up to uint8; values beyond the range are clipped."""
    return round_half_up(np.asarray(image), np.uint8)
