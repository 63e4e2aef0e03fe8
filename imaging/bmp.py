"""Writing BMP, which libvips does not."""

import struct

from PIL import Image

STRIP = 128  # rows that are written at once


def save(path, image, form):
    """Writes a grey or RGB image of libvips as a BMP of 8 or 24 bits, in strips from the bottom, where it begins."""
    stride = (image.bands * image.width + 3) // 4 * 4
    palette = bytes(value for grey in range(256) for value in (grey, grey, grey, 0)) if image.bands == 1 else b""
    start, size = 54 + len(palette), stride * image.height
    x, y = (round(1000 * value) for value in (image.xres, image.yres))  # pixels per metre
    with open(path, "wb") as file:
        file.write(struct.pack("<2sIIIIiiHHIIiiII", b"BM", start + size, 0, start, 40, image.width, image.height, 1,
                               8 * image.bands, 0, size, x, y, 0, 0) + palette)
        for bottom in range(image.height, 0, -STRIP):
            top = max(bottom - STRIP, 0)
            strip = Image.fromarray(image.crop(0, top, image.width, bottom - top).numpy())
            file.write(strip.tobytes("raw", "L" if image.bands == 1 else "BGR", stride, -1))
