"""Reading JPEG, whose pixels libvips decodes, from the same code as Pillow: it tells of data that are missing, where
Pillow fills in grey without a word.
"""

import re
import struct
import sys

from imaging import colour, encodings, pillow, vips
from imaging.insertion import insert
from imaging.limits import MAX_PIXELS, Unsupported, check_size
from imaging.metadata import PREFIX

MARKER = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")  # that a segment begins with, or the end; others stand in the data
HUFFMAN = (0xC0, 0xC1, 0xC2)  # markers of a frame: two of sequential ones, and progressive
NO_FRAME = (0xC4, 0xC8, 0xCC)  # the others from 0xC0 to 0xCF begin a frame
END, SCAN = 0xD9, 0xDA
MAX_SEGMENTS = 10_000  # a photo has some dozens
MAX_VISITS = 14 * MAX_PIXELS  # of a sample by a scan; a progressive photo visits each pixel about 14 times
MAX_SEGMENT = 65_533  # bytes
XMP_PREFIX = b"http://ns.adobe.com/xap/1.0/\0"
DAMAGE = re.compile(r"Corrupt JPEG data(?!.*extraneous bytes).*")  # the first warning, where pixels are missing


def read(file, start, form):
    """Reads a JPEG file, as `imaging.pillow.read` does.

    One without its end marker is read with a warning if all its pixels are there.
    """
    with pillow.open_file(file, form) as image:
        file.seek(0)
        data = file.read()
        lacks_end = _check_structure(data, *image.size)
        pixels = _decode(data + b"\xff\xd9" if lacks_end else data)
        if image.mode == "CMYK":
            del pixels  # and their memory
            file.seek(0)
            image.load()
            pixels = colour.from_pillow(image)
        elif lacks_end:
            print(f"warning: {file.name}: its end marker is missing, but all pixels are there", file=sys.stderr)
        content = pillow.content(image, pixels)
    if image.info.get("jfif_unit") not in (1, 2):
        content = content._replace(resolution=None)  # Pillow guesses one
    if content.icc_profile is None and pixels.ndim == 3 and content.metadata.is_adobe_rgb():
        content = content._replace(icc_profile=encodings.adobe_rgb().icc_profile)
    return content


def save(path, image, form, metadata, is_lossless):
    """Writes an image of libvips with its `Metadata`, as `imaging.png.save` does; what is larger than a segment of JPEG
    is left out.
    """
    vips.save(path, image, form)
    parts = ((0xE0, _jfif(image)), (0xE1, metadata.exif and PREFIX + metadata.exif),
             (0xE1, metadata.xmp and XMP_PREFIX + metadata.xmp), (0xFE, metadata.comment))
    segments = [struct.pack(">BBH", 0xFF, marker, len(part) + 2) + part for marker, part in parts
                if part and len(part) <= MAX_SEGMENT]
    with open(path, "r+b") as file:
        insert(file, 2, b"".join(segments))


def _jfif(image):
    """Returns the content of JFIF's segment, which libvips leaves out: the resolution in whole dots per inch."""
    dots = [min(max(round(25.4 * value), 1), 65_535) for value in (image.xres, image.yres)]
    return struct.pack(">5sHBHHBB", b"JFIF\0", 0x0101, 1, *dots, 0, 0)


def _check_structure(data, width, height):
    """Checks that the data can hold the pixels, and that its scans are no more work than a photo's.

    Returns:
        Whether the end marker alone is missing, as far as can be seen without decoding.
    """
    frame, scans, missing, has_end = _structure(data)
    num_blocks = -(-width // 8) * -(-height // 8)
    if frame in HUFFMAN and num_blocks > 8 * len(data):  # each block takes a bit or more
        raise OSError(f"{len(data)} bytes cannot hold {width} x {height} pixels")
    if len(scans) > 1 and sum(scans) * width * height > MAX_VISITS:
        raise Unsupported(f"its {width} x {height} pixels come in {len(scans)} scans, which is too much work")
    if not has_end and (frame not in HUFFMAN or missing):
        raise OSError("its end is missing")
    return not has_end


def _structure(data):
    """Returns what the markers tell.

    Returns:
        The marker of the frame, the number of components of each scan, what no scan has told: pairs of a component and
        one of its 64 coefficients, which the scans of a progressive file tell bit by bit, and whether the end is there.
    """
    frame, scans, missing, position = None, [], set(), 2
    for _ in range(MAX_SEGMENTS):
        found = MARKER.search(data, position)
        if not found or found[1][0] == END:
            return frame, scans, missing, found is not None
        marker, position = found[1][0], found.end()
        segment = data[position + 2:position + 20]
        if marker == SCAN:
            scans += segment[:1]
            missing -= _told(segment)
        elif marker < 0xD0 and marker not in NO_FRAME:
            components = data[position + 8:position + 8 + 3 * min(data[position + 7:position + 8] or b"\0")]
            frame, missing = marker, {(component, i) for component in components[::3] for i in range(64)}
        position += int.from_bytes(data[position:position + 2], "big")
    raise Unsupported(f"it has more than {MAX_SEGMENTS:,} segments, which is too much work")


def _told(scan):
    """Returns the pairs of component and coefficient that a scan tells down to the last bit."""
    count = scan[0] if scan else 0
    first, last, bits = (*scan[1 + 2 * count:4 + 2 * count], 0, 0, 0)[:3]
    if bits & 15:  # more bits are to follow
        return set()
    return {(component, i) for component in scan[1:1 + 2 * count:2] for i in range(first, min(last, 63) + 1)}


def _decode(data):
    """Returns the pixels of a JPEG file; data that are missing or damaged are an error, other warnings are not."""
    pixels, messages = vips.listen(lambda: _pixels(data))
    damage = DAMAGE.search(messages)
    if damage:
        raise OSError(damage[0])
    return pixels


def _pixels(data):
    image = vips.load().Image.jpegload_buffer(data, access="sequential", fail_on="error")
    check_size(image.width, image.height)
    return vips.to_array(image)
