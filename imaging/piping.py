"""An image that libvips writes while its strips come."""

import contextlib
import os
import struct
import threading
import zlib

import numpy as np

from imaging import vips
from imaging.png_chunks import SIGNATURE, chunk
from imaging.strips import Abandoned

COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # of PNG, by the number of channels
STORED = 0  # a level of deflate
PIECE = 1 << 20  # bytes of rows that are written at once


def opened(pixels, in_strips):
    """Returns a context manager that yields an image of libvips on an array, or on `Strips`.

    With `in_strips` that of `Strips` is to be read once from the top, and begins before all have come.
    """
    if isinstance(pixels, np.ndarray):
        return contextlib.nullcontext(vips.from_array(pixels))
    if in_strips and os.name == "posix":  # elsewhere libvips may not know Python's pipes
        return _from_strips(pixels)
    return contextlib.nullcontext(vips.from_array(pixels.whole()))


@contextlib.contextmanager
def _from_strips(strips):
    """Yields an image of libvips on `Strips`.

    They go through a pipe as a PNG without compression, which of all that this libvips reads from a pipe costs least.
    Where they end too early, and the block fails for it, the error with which they ended is raised in place of its own.
    """
    reading, writing = os.pipe()
    feeder = _Feeder(strips, writing)
    feeder.start()
    try:
        with open(reading, "rb", buffering=0) as pipe:
            try:
                source = vips.load().Source.new_from_descriptor(reading)
                image = vips.load().Image.pngload_source(source, access="sequential", fail_on="error").copy()
                image.remove("bits-per-sample")  # of this PNG, not of what is to be written
                yield image
            finally:
                strips.abandon()
                while pipe.read(PIECE):  # what nobody wants any more, so that the feeder ends
                    pass
                feeder.join()
    except Exception:
        if feeder.error:
            raise feeder.error from None
        raise


class _Feeder(threading.Thread):
    """Writes strips to a pipe until they end; `error` is with what they ended too early."""

    def __init__(self, strips, pipe):
        super().__init__(daemon=True)
        self.strips, self.pipe, self.error = strips, pipe, None

    def run(self):
        with open(self.pipe, "wb") as file:
            try:
                for part in _png(self.strips):
                    file.write(part)
            except Abandoned:
                pass  # the block has ended
            except Exception as error:  # noqa: BLE001 - it is raised in the thread that writes the image
                self.error = error


def _png(strips):
    """Yields the parts of a PNG file whose pixels are stored as they are, each row behind a filter of 0."""
    height, width, channels = (*strips.shape, 1)[:3]
    depth = 8 * strips.dtype.itemsize
    header = struct.pack(">IIBBBBB", width, height, depth, COLOUR_TYPES[channels], 0, 0, 0)
    yield SIGNATURE + chunk(b"IHDR", header)
    packer = zlib.compressobj(STORED)
    for strip in strips:
        step = max(1, PIECE // (width * channels * depth // 8))
        for top in range(0, len(strip), step):
            yield chunk(b"IDAT", packer.compress(_rows(strip[top:top + step])))
        del strip  # while the next one is waited for
    yield chunk(b"IDAT", packer.flush()) + chunk(b"IEND", b"")


def _rows(pixels):
    """Returns the bytes of rows, each behind a filter of 0; PNG has the high byte first."""
    pixels = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder(">")).reshape(len(pixels), -1).view(np.uint8)
    return np.insert(pixels, 0, 0, axis=1)
