"""Finding image files, and reading them as plain RGB."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from errors import UserError, describe, printable
from files import is_temporary
from imaging import colour
from imaging.formats import SUFFIXES
from imaging.photos import read_photo
from imaging.rounding import round_half_up

FEWER_BITS = (8, 10, 12, 14)  # that files of 16 bits may hold
# What a NAS, a desktop or an archive of macOS leaves beside images, thumbnails among it; in lower case.
LITTER = {"__macosx", "@eadir", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "$recycle.bin",
          "system volume information", "lost+found", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}


class Found(NamedTuple):
    """What is in a folder.

    Attributes:
        images: paths of the images, by suffix in upper or lower case.
        others: paths of the files of other kinds.
        hidden: paths of images whose names begin with a dot.
        links: paths of links to folders, which are not followed.
        failures: texts, each of a path that cannot be read, and why.
    """

    images: list
    others: list
    hidden: list
    links: list
    failures: list


def look_through(folder, recursive=False):
    """Returns what is `Found` in `folder`, each kind sorted.

    What other programs keep for themselves, such as a NAS its thumbnails and macOS its resource forks, is left out
    without a word, and so are temporary files.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder")
    found = Found([], [], [], [], [])
    for parent, folders, names in os.walk(folder, onerror=lambda error: found.failures.append(describe(error))):
        if recursive:
            found.links.extend(path for path in (Path(parent, name) for name in folders) if path.is_symlink())
        folders[:] = [name for name in folders if recursive and not name.startswith(".") and not is_litter(name)]
        for path in (Path(parent, name) for name in names if not is_litter(name)):
            try:
                _sort_in(path, found)
            except OSError as error:  # such as those of a folder that may be listed, but not entered
                found.failures.append(describe(error))
    for paths in found:
        paths.sort()
    return found


def find_images(folder, recursive=False):
    """Returns the sorted paths of the images in `folder`, by suffix in upper or lower case; hidden ones are left out.

    Raises:
        UserError: there is no such folder, or it holds no image.
    """
    found = look_through(folder, recursive)
    if not found.images:
        raise UserError(found.failures[0] if found.failures else no_images(folder))
    return found.images


def no_images(folder):
    """Returns what is said of a folder without images."""
    return f"{folder}: there are no images in it ({', '.join(SUFFIXES)})"


def bad_link(path):
    """Returns what is said of a link that leads to no file: the system's cause, or what it leads to."""
    try:
        os.stat(path)
    except OSError as error:
        return f"{path}: is a link to nothing: {error.strerror}"
    return f"{path}: is a link to what is no regular file"


def is_litter(name):
    """Whether a file or folder of this name is kept by a system for itself."""
    return name.startswith("._") or name.casefold() in LITTER


def _sort_in(path, found):
    """Adds the path of a file, or of a link to none, to what is found; pipes and devices are no images."""
    is_image = path.suffix.lower() in SUFFIXES
    if is_temporary(path):
        return
    if path.name.startswith("."):
        if is_image:
            found.hidden.append(path)
    elif path.is_file():
        (found.images if is_image else found.others).append(path)
    elif is_image and path.is_symlink():
        found.failures.append(bad_link(path))


def read_image(path, white_level=None, narrow=None, as_srgb=False):
    """Reads an image file as `read_photo` does, but as RGB without alpha, (H, W, 3) uint8.

    Args:
        path: of the file.
        white_level: the value in files of 16 bits that is white, such as 4095 where they hold 12 bits; by default
            65535.
        narrow: a dict in which the largest value of such a file is noted, by its path, where there is no
            `white_level` and the values end where those of 14 bits or fewer do.
        as_srgb: convert colours with a profile to sRGB, as they are shown; else the profile is ignored.

    Raises:
        UserError: names the file and why it cannot be read, or a value above the white level.
    """
    photo = read_photo(path)
    pixels = photo.pixels
    if as_srgb and photo.icc_profile:
        pixels = colour.as_srgb(colour.to_8_bits(pixels), photo.icc_profile)
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
