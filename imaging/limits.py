"""What is accepted: how large an image may be, and that it is a still one in a plain file."""

import math
import os
import stat

from errors import UserError
from imaging.formats import WRITTEN, format_of

MAX_PIXELS = 178_956_970  # of an input: twice Pillow's limit, from which on it is taken for a decompression bomb
MAX_BYTES = 2**32  # of a file to be read: so many pixels, uncompressed, with 16 bits and alpha take a third

LARGE = 1 << 30  # bytes of memory from which on it is said what writing an image takes
IN_STRIPS = " or ".join(", ".join(form.name for form in WRITTEN if not form.memory).rsplit(", ", 1))


class Unsupported(ValueError):
    """An image is sound, but not of a kind that is read; the text says why."""


def check_file(path):
    """Raises an error if `path` is no file to be opened: opening a pipe would wait, and reading a device never end.

    Raises:
        Unsupported: it is a pipe, a socket or a device, or too large.
        OSError: there is no such file.
    """
    status = os.stat(path)
    kind = stat.S_IFMT(status.st_mode)
    if kind not in (stat.S_IFREG, stat.S_IFDIR):  # a folder is an error when it is opened
        raise Unsupported("it is no regular file, but a pipe, a socket or a device")
    if status.st_size > MAX_BYTES:
        raise Unsupported(f"it has {status.st_size:,} bytes, and files of up to {MAX_BYTES:,} bytes are read")


def check_size(width, height, most=None):
    """Raises `Unsupported` if an image to be read has too many pixels: a small file can unpack to many gigabytes."""
    most = most or MAX_PIXELS
    if width * height > most:
        raise Unsupported(f"it has {width} x {height} pixels, and images of up to {most:,} pixels are read")


def check_samples(width, height, bytes_per_pixel):
    """Raises `Unsupported` if the pixels of an image to be read take more memory than any with 16 bits and alpha."""
    if width * height * bytes_per_pixel > 8 * MAX_PIXELS:
        raise Unsupported(f"it has {width} x {height} pixels of {bytes_per_pixel} bytes, and images of up to "
                          f"{8 * MAX_PIXELS:,} bytes are read")


def check_frames(count, noun="frames"):
    """Raises `Unsupported` if an image to be read has more than one frame or page."""
    if count > 1:
        raise Unsupported(f"it has {count} {noun}, and only still images are read: save each as a file of its own")


def check_output(path, width, height):
    """Checks that the format of `path`, which its suffix says, can hold an image of this size.

    Raises:
        UserError: it cannot, or there is no such format.
    """
    form = format_of(path)
    if max(width, height) > form.side:
        limit = f"{form.side:,} pixels a side"
    elif form.most_bytes and _plain_bytes(width, height) > form.most_bytes:
        limit = f"files of {(form.most_bytes + 1) >> 30} GiB"
    else:
        return
    raise UserError(f"{path}: {width} x {height} pixels are too many for {form.name}, which ends at {limit}: choose "
                    "PNG or TIFF")


def check_memory(path, shape):
    """Returns a line that says how much memory it takes to write an image of this shape to `path`, (H, W) or (H, W, C);
    None where it is no more than any image takes.

    Raises:
        UserError: the machine has less.
    """
    form = format_of(path)
    needed = form.memory * math.prod(shape[:2]) * max([3, *shape[2:]])  # grey is written as RGB, or is small
    if needed < LARGE:
        return None
    text = f"about {needed / 2**30:.1f} GiB of memory, since {form.name} is made of all pixels at once"
    if needed > _machine_memory():
        raise UserError(f"{path}: {shape[1]} x {shape[0]} pixels take {text}, and this machine has "
                        f"{_machine_memory() / 2**30:.1f} GiB: choose {IN_STRIPS}")
    return f"{path}: takes {text}; {IN_STRIPS} would not"


def _machine_memory():
    """Returns the bytes of memory that the machine has; infinity where that cannot be known."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):  # Windows
        return math.inf


def _plain_bytes(width, height):
    """Returns the bytes of uncompressed RGB, in rows of whole 32-bit words behind a header, as BMP stores it."""
    return (3 * width + 3) // 4 * 4 * height + 54
