"""Reading AVIF, whose pixels libvips decodes: Pillow would reduce those of 10 and 12 bits."""

import re
import struct

import numpy as np

from imaging import directories, encodings, pillow, vips
from imaging.content import Content
from imaging.directories import SHORT
from imaging.limits import check_size
from imaging.metadata import COLOUR_SPACE, PREFIX, SRGB, UNCALIBRATED
from imaging.tags import ORIENTATION

COLOURS = re.compile(rb"colrnclx(.{4})", re.DOTALL)  # a box and its kind
MAX_HEADER = 1 << 20  # bytes in which the boxes that describe the image are looked for


def read(file, start, form):
    """Reads an AVIF file, as `imaging.pillow.read` does.

    Only the file's own turning and mirroring counts, which libvips does; its EXIF orientation has no meaning.
    """
    try:
        with pillow.open_file(file, form) as image:
            content = pillow.content(image, None)
    except (SyntaxError, ValueError) as error:
        if not re.search("TIFF|Exif", str(error)):
            raise
        content = Content(None)  # its EXIF is damaged, which Pillow and libavif read at once
    with vips.errors():
        image = vips.open_file(f"{form.vips}load", file.name)
        check_size(image.width, image.height, form.most_pixels)
        pixels = vips.to_array(image)
    if pixels.dtype == np.uint16:
        pixels = pixels | pixels >> image.get("bits-per-sample")  # libvips leaves the low bits 0: white is 65535
    content = content._replace(pixels=pixels, tags=content.metadata.tags() | {ORIENTATION: 1}, resolution=None)
    points = _code_points(file)
    if content.icc_profile is not None or not points or not encodings.is_known(*points):
        return content
    encoding = encodings.by_code_points(*points)
    if encoding.to_light:
        pixels = encodings.with_srgb_curve(pixels, encoding.to_light)
    return content._replace(pixels=pixels, icc_profile=encoding.icc_profile)


def save(path, image, form, metadata, is_lossless):
    """Writes an image of libvips with its `Metadata`, as `imaging.png.save` does."""
    image = vips.with_data(image, "exif-data", PREFIX + _exif(metadata.exif, image))
    if metadata.xmp:
        image = vips.with_data(image, "xmp-data", metadata.xmp)
    vips.save(path, image, form)


def _exif(exif, image):
    """Returns a block of EXIF with a colour space: libvips writes one in any case, and would call it uncalibrated."""
    entries = directories.whole_tree(exif) if exif else {}
    space = UNCALIBRATED if image.get_typeof("icc-profile-data") else SRGB
    entries.setdefault(directories.EXIF, {}).setdefault(COLOUR_SPACE, (SHORT, 1, struct.pack("<H", space)))
    return directories.EMPTY + directories.pack(entries, len(directories.EMPTY))


def _code_points(file):
    """Returns the code points of the colours, primaries and transfer function, or None where the file has none."""
    file.seek(0)
    found = COLOURS.search(file.read(MAX_HEADER))
    return found and struct.unpack(">HH", found[1])
