"""Images in files of numpy arrays: checked when they are found, and read only as long as they are the same."""

import math
import os
import stat
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from errors import UserError

MAX_CAUSE = 200  # characters of NumPy's message, which may hold a whole header


class ArrayChanged(UserError):
    """An array is no longer the one that was found: another has taken its place, it was written to, or it is gone."""


class StoredImage(NamedTuple):
    """An image (H, W, 3), uint8, in a .npy file whose header was checked when it had this size and time."""

    path: Path
    offset: int
    shape: tuple
    bytes: int
    mtime_ns: int

    def read(self, first=0, last=None):
        """Returns rows `first` to `last`, by default all, as a read-only array; raises `ArrayChanged`.

        They are read, not mapped: a file that is cut while it is copied from a map would end the process.
        """
        last = self.shape[0] if last is None else min(last, self.shape[0])
        row_bytes = math.prod(self.shape[1:])
        try:
            file = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))  # faster than `open`, for each patch
            try:
                os.lseek(file, self.offset + first * row_bytes, os.SEEK_SET)
                content = _read(file, (last - first) * row_bytes)
                status = os.fstat(file)
            finally:
                os.close(file)
        except OSError as error:
            raise ArrayChanged(f"{self.path}: can no longer be read: {error.strerror}") from error
        if (status.st_size, status.st_mtime_ns) != self[3:]:  # which was looked at last, so that it tells of all
            raise ArrayChanged(f"{self.path}: was replaced or changed since it was found")
        return np.frombuffer(content, np.uint8).reshape(last - first, *self.shape[1:])


def _read(file, count):
    """Returns `count` bytes of an open file, or what there is of them."""
    content = os.read(file, count)
    if len(content) in (0, count):
        return content
    parts = [content]  # one call reads 2 GB at most
    while parts[-1] and (left := count - sum(map(len, parts))):
        parts.append(os.read(file, left))
    return b"".join(parts)


def stored_image(path):
    """Checks an image array (H, W, 3), uint8, by its header and its size, and returns it as a `StoredImage`.

    Raises:
        UserError: the file is missing, corrupt, or holds something else.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
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
    return StoredImage(path, image.offset, image.shape, status.st_size, status.st_mtime_ns)
