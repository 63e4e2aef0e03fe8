"""BMP, which libvips neither reads nor writes."""

import struct

from PIL import Image

from imaging import pillow, vips
from imaging.limits import Unsupported

STRIP = 128  # rows that are written at once
RLE4 = 2  # a compression, which Pillow decodes pixel by pixel in Python
MAX_RLE4 = 1 << 24  # pixels


def read(file, start, form):
    """Reads a BMP file, as `imaging.pillow.read` does."""
    return pillow.read(file, start, form, _check_work)


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
