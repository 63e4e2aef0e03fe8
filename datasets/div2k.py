"""Data sets of numpy arrays in DIV2K's layout: folders, file names, image ids, and pairs of images."""

import math
import mmap
import os
import re
import stat
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from errors import UserError

MAX_CAUSE = 200  # characters of NumPy's message, which may hold a whole header


class StoredImage(NamedTuple):
    """An image (H, W, 3), uint8, in a .npy file whose header was checked."""

    path: Path
    offset: int
    shape: tuple

    def map(self):
        """Returns the image as a read-only view of the file, without reading it."""
        with open(self.path, "rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return np.frombuffer(content, np.uint8, math.prod(self.shape), self.offset).reshape(self.shape)


class ImagePair(NamedTuple):
    """One image in high and in low resolution."""

    image_id: int
    hr: StoredImage
    lr: StoredImage


def hr_dir(dataset, subset):
    """Returns the folder of the high-resolution images of a `subset` ('train' or 'valid')."""
    return Path(dataset) / f"DIV2K_{subset}_HR"


def lr_dir(dataset, subset, downgrade, scale):
    """Returns the folder of the low-resolution images of a `subset`."""
    return Path(dataset) / f"DIV2K_{subset}_LR_{downgrade}" / f"X{scale}"


def hr_path(dataset, subset, image_id):
    """Returns the path of a high-resolution image."""
    return hr_dir(dataset, subset) / f"{image_id:04d}.npy"


def lr_path(dataset, subset, downgrade, scale, image_id):
    """Returns the path of a low-resolution image."""
    return lr_dir(dataset, subset, downgrade, scale) / f"{image_id:04d}x{scale}.npy"


def image_ids(dataset, subset):
    """Returns the sorted ids of the high-resolution images that are there."""
    return sorted(int(path.stem) for path in hr_dir(dataset, subset).glob("*.npy")
                  if re.fullmatch(r"\d{4,}", path.stem))


def find_pairs(dataset, subset, scale, downgrade, ids=None):
    """Returns the `ImagePair`s of a data set, each array checked by its header.

    Args:
        dataset: folder in DIV2K's layout with numpy arrays.
        subset: 'train' or 'valid'.
        scale: 2, 3 or 4.
        downgrade: one of `choices.DOWNGRADES`.
        ids: image ids; by default all that are there.

    Raises:
        UserError: a folder or array is missing or malformed, or high and low resolution do not fit.
    """
    for folder in (Path(dataset), hr_dir(dataset, subset), lr_dir(dataset, subset, downgrade, scale)):
        if not folder.is_dir():
            raise UserError(f"{folder}: there is no such folder; convert.py makes a data set")
    if ids is None:
        ids = image_ids(dataset, subset)
        if not ids:
            raise UserError(f"{hr_dir(dataset, subset)}: there are no arrays NNNN.npy in it; "
                            "`convert.py numpy` writes them")
    return [_check_pair(image_id, hr_path(dataset, subset, image_id),
                        lr_path(dataset, subset, downgrade, scale, image_id), scale) for image_id in ids]


def stored_image(path):
    """Checks an image array (H, W, 3), uint8, by its header and its size, and returns it as a `StoredImage`.

    Raises:
        UserError: the file is missing, corrupt, or holds something else.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait for ever
            raise UserError(f"{path}: is no regular file, as an array is")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = np.lib.format.open_memmap(path, mode="r")  # refuses Python objects
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such array") from error
    except Exception as error:  # NumPy parses the header as Python, which can fail in any way
        cause = str(error).partition("\n")[0][:MAX_CAUSE] or type(error).__name__
        raise UserError(f"{path}: cannot be read as a numpy array: {cause}") from error
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise UserError(f"{path}: holds {image.dtype} of shape {image.shape}, not an image: "
                        "uint8 of shape (height, width, 3)")
    if not image.flags.c_contiguous:
        raise UserError(f"{path}: is stored column by column (Fortran order): save it row by row")
    return StoredImage(path, image.offset, image.shape)


def load_pair(pair, scale):
    """Returns `hr` and `lr` of an `ImagePair`, `hr` cropped to `scale` times the size of `lr`."""
    height, width, _ = pair.lr.shape
    return pair.hr.map()[:height * scale, :width * scale], pair.lr.map()


def _check_pair(image_id, hr_file, lr_file, scale):
    hr, lr = stored_image(hr_file), stored_image(lr_file)
    if tuple(size // scale for size in hr.shape[:2]) != lr.shape[:2]:
        raise UserError(f"{lr_file}: is {lr.shape[0]} x {lr.shape[1]}, which does not fit {hr_file} of "
                        f"{hr.shape[0]} x {hr.shape[1]} at scale {scale}")
    return ImagePair(image_id, hr, lr)
