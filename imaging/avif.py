"""Reading AVIF, whose pixels libvips decodes: Pillow would reduce those of 10 and 12 bits."""

import numpy as np

from imaging import pillow, vips
from imaging.limits import check_size
from imaging.tags import ORIENTATION


def read(file, start, form):
    """Reads an AVIF file, as `imaging.pillow.read` does.

    Only the file's own turning and mirroring counts, which libvips does; its EXIF orientation has no meaning.
    """
    with pillow.open_file(file, form) as image:
        tags, icc_profile, _ = pillow.side_information(image)
    with vips.errors():
        image = vips.open_file(f"{form.vips}load", file.name)
        check_size(image.width, image.height, form.most_pixels)
        pixels = vips.to_array(image)
    if pixels.dtype == np.uint16:
        pixels = pixels | pixels >> image.get("bits-per-sample")  # libvips leaves the low bits 0: white is 65535
    return pixels, tags | {ORIENTATION: 1}, icc_profile, None
