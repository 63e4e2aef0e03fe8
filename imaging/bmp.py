"""BMP, which libvips neither reads nor writes."""

import struct

from PIL import Image

from imaging import pillow, vips
from imaging.limits import Unsupported
from imaging.metadata import MAX_BYTES

STRIP = 128  # rows that are written at once
RLE4 = 2  # a compression, which Pillow decodes pixel by pixel in Python
MAX_RLE4 = 1 << 24  # pixels
HEADER, V5_BYTES = 14, 124  # where the header of the image begins, and its length in the fifth version
EMBEDDED = b"DEBM"  # a colour space of it: that of the profile in the file


def read(file, start, form):
    """Reads a BMP file, as `imaging.pillow.read` does."""
    return pillow.read(file, start, form, _check_work)._replace(icc_profile=_profile(file))


def _profile(file):
    """Returns the colour profile that a file of the fifth version of BMP holds, or None."""
    file.seek(HEADER)
    header = file.read(V5_BYTES)
    if len(header) < V5_BYTES or header[:4] != struct.pack("<I", V5_BYTES) or header[56:60] != EMBEDDED:
        return None
    offset, size = struct.unpack("<II", header[112:120])
    file.seek(HEADER + offset)
    return file.read(min(size, MAX_BYTES))


def _check_work(image):
    if image.info.get("compression") == RLE4 and image.width * image.height > MAX_RLE4:
        raise Unsupported(f"it has {image.width} x {image.height} pixels, and in run-length encoding of 4 bits images "
                          f"of up to {MAX_RLE4:,} pixels are read: save it as PNG")


def save(path, image, form, metadata, is_lossless):
    """Writes a grey or RGB image of libvips as a BMP of 8 or 24 bits, in strips from the bottom, where it begins.

    It holds no metadata.
    """
    stride = (image.bands * image.width + 3) // 4 * 4
    palette = bytes(value for grey in range(256) for value in (grey, grey, grey, 0)) if image.bands == 1 else b""
    start, size = 54 + len(palette), stride * image.height
    x, y = (round(1000 * value) for value in (image.xres, image.yres))  # pixels per metre
    with open(path, "wb") as file:
        file.write(struct.pack("<2sIIIIiiHHIIiiII", b"BM", start + size, 0, start, 40, image.width, image.height, 1,
                               8 * image.bands, 0, size, x, y, 0, 0) + palette)
        for bottom in range(image.height, 0, -STRIP):
            top = max(bottom - STRIP, 0)
            strip = Image.fromarray(vips.to_array(image.crop(0, top, image.width, bottom - top)))
            file.write(strip.tobytes("raw", "L" if image.bands == 1 else "BGR", stride, -1))
