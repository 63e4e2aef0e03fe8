"""Finding image files, and reading them as plain RGB."""

import numpy as np

from errors import UserError
from files import is_temporary
from imaging import colour
from imaging.formats import SUFFIXES
from imaging.photos import read_photo
from imaging.rounding import round_half_up


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


def read_image(path, as_srgb=False):
    """Reads an image file as `read_photo` does, but as RGB without alpha, (H, W, 3) uint8.

    Args:
        path: the file.
        as_srgb: convert colours with a profile to sRGB, as they are shown; else the profile is ignored.

    Raises:
        UserError: names the file and why it cannot be read.
    """
    photo = read_photo(path)
    pixels = colour.to_8_bits(photo.pixels)
    if as_srgb and photo.icc_profile:
        pixels = colour.as_srgb(pixels, photo.icc_profile)
    if pixels.ndim == 2 or pixels.shape[2] == 2:  # grey, with or without alpha
        pixels = pixels.reshape(*pixels.shape[:2], -1)[..., [0, 0, 0]]
    return np.ascontiguousarray(pixels[..., :3])


def to_uint8(image):
    """Rounds an image in [0, 255] half up to uint8; values beyond the range are clipped."""
    return round_half_up(np.asarray(image), np.uint8)
