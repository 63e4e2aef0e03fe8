"""Reading PNG by Pillow, and checking that no pixels are missing, which Pillow takes for black."""

import struct
import zlib

from imaging import pillow

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the colour type
# Where the passes of an interlaced image begin, x and y, and their steps.
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
MAX_RATIO = 1032  # of deflate
BLOCK = 1 << 20


def read(file, start, form):
    """Reads a PNG file, as `imaging.pillow.read` does."""
    interlaced, needed = start[28:29] == b"\1", 0

    def check_claim(image):
        nonlocal needed
        needed = _unpacked_bytes(start, interlaced)
        size = file.seek(0, 2)
        if needed > MAX_RATIO * size:
            raise OSError(f"{size} bytes cannot hold {image.width} x {image.height} pixels")

    def check_end(image):
        last_row = image.crop((0, image.height - 1, *image.size))
        may_miss = interlaced or last_row.getbbox(alpha_only=False) is None  # else there is no need to unpack it again
        if may_miss and not _holds(file, needed):
            raise OSError("pixels are missing")

    return pillow.read(file, start, form, check_claim, check_end)


def _unpacked_bytes(start, interlaced):
    """Returns the bytes that the pixels of a PNG file are packed from, by its header."""
    width, height, depth, colour_type = struct.unpack(">IIBB", start[16:26])
    total = 0
    for x, y, step_x, step_y in PASSES if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - x) // step_x), -(-(height - y) // step_y)
        if columns > 0 and rows > 0:
            total += rows * ((columns * depth * CHANNELS[colour_type] + 7) // 8 + 1)  # a filter and the pixels
    return total


def _holds(file, needed):
    """Whether the pixels of a PNG file unpack to so many bytes."""
    unpacker = zlib.decompressobj()
    file.seek(8)
    while len(header := file.read(8)) == 8:
        size, name = struct.unpack(">I4s", header)
        end = file.tell() + size + 4
        while name == b"IDAT" and needed > 0 and size > 0:
            packed = file.read(min(size, BLOCK))
            size -= len(packed) or size
            while packed and needed > 0:
                needed -= len(unpacker.decompress(packed, BLOCK))
                packed = unpacker.unconsumed_tail
        file.seek(end)
    return needed <= 0
