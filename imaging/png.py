"""Reading PNG, and checking that no pixels are missing, which Pillow takes for black."""

import struct
import zlib

from imaging import colour, encodings, pillow, png_chunks, vips
from imaging.content import Content
from imaging.insertion import insert
from imaging.limits import check_frames

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the colour type
GREY, RGB = 0, 2  # colour types
# Where the passes of an interlaced image begin, x and y, and their steps.
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
MAX_RATIO = 1032  # of deflate
BLOCK = 1 << 20
METRE = 1  # a unit of pHYs
HEADER_END = 33


def read(file, start, form):
    """Reads a PNG file, as `imaging.pillow.read` does."""
    contents = png_chunks.read(file)
    check_frames(_num_frames(contents.told))
    with pillow.open_file(contents.image, form) as image:
        _check_claim(file, start, image)
        image.load()
        _check_end(file, start, image)
        if not form.is_deep(start):
            _set_transparency(image, start)
            pixels = colour.from_pillow(image)
    if form.is_deep(start):
        del image  # and its memory
        contents.image.seek(0)
        data = contents.image.read()
        with vips.errors():
            pixels = vips.to_array(vips.load().Image.pngload_buffer(data, access="sequential", fail_on="error"))
    icc_profile, encoding = _colours(contents.told, CHANNELS[start[25]] < 3 and start[25] != 3)
    if encoding.to_light:
        pixels = encodings.with_srgb_curve(pixels, encoding.to_light)
    return Content(pixels, icc_profile or encoding.icc_profile, _resolution(contents.told), contents.metadata())


def save(path, image, form, metadata, is_lossless):
    """Writes an image of libvips with its `Metadata`.

    Args:
        path: to write to.
        image: of libvips, which the format can hold, with its colour profile.
        form: the `Format`.
        metadata: that fits the image.
        is_lossless: whether nothing may be lost, where the format has a choice.
    """
    vips.save(path, image, form)
    chunks = [png_chunks.chunk(b"eXIf", metadata.exif)] if metadata.exif else []
    chunks += [png_chunks.xmp_chunk(metadata.xmp)] if metadata.xmp else []
    chunks += [png_chunks.chunk(name, content) for name, content in metadata.texts]
    if chunks:
        with open(path, "r+b") as file:
            insert(file, HEADER_END, b"".join(chunks))


def _num_frames(told):
    content = told.get(b"acTL", b"")
    return int.from_bytes(content[:4], "big") if len(content) == 8 else 1


def _resolution(told):
    content = told.get(b"pHYs", b"")
    if len(content) != 9 or content[8] != METRE:
        return None
    return tuple(0.0254 * dots for dots in struct.unpack(">II", content[:8]))


def _colours(told, is_grey):
    """Returns the colour profile and the `Encoding` that the chunks tell: cICP before iCCP, sRGB, and gAMA with cHRM,
    as the third edition of the PNG specification has it.
    """
    points = told.get(b"cICP", b"")
    if len(points) == 4 and points[2:] == b"\0\1" and encodings.is_known(*points[:2]):  # RGB in full range
        return None, encodings.by_code_points(*points[:2])
    icc_profile = _icc_profile(told.get(b"iCCP", b""))
    if colour.fitting_profile(icc_profile, 1 if is_grey else 3):
        return icc_profile, encodings.Encoding()
    if len(told.get(b"sRGB", b"")) == 1:
        return None, encodings.Encoding()
    gamma, corners = told.get(b"gAMA", b""), told.get(b"cHRM", b"")
    return None, encodings.by_gamma(int.from_bytes(gamma, "big") / 100_000 if len(gamma) == 4 else None,
                                    [value / 100_000 for value in struct.unpack(">8I", corners)]
                                    if len(corners) == 32 else None)


def _icc_profile(content):
    name, separator, rest = content.partition(b"\0")
    is_sound = separator and len(name) <= 79 and rest[:1] == b"\0"
    return png_chunks.unpacked(rest[1:]) if is_sound else None


def _set_transparency(image, start):
    """Scales the transparent grey of 1, 2 and 4 bits as the pixels are scaled, which Pillow leaves out."""
    depth, colour_type = start[24:26]
    key, highest = image.info.get("transparency"), (1 << depth) - 1
    if colour_type == GREY and isinstance(key, int) and depth > 1:  # of 1 bit Pillow knows
        image.info["transparency"] = (key & highest) * 255 // highest
    elif colour_type == RGB and isinstance(key, tuple):
        image.info["transparency"] = tuple(value & highest for value in key)


def _check_claim(file, start, image):
    size, needed = file.seek(0, 2), _unpacked_bytes(start)
    if needed > MAX_RATIO * size:
        raise OSError(f"{size} bytes cannot hold {image.width} x {image.height} pixels")


def _check_end(file, start, image):
    last_row = image.crop((0, image.height - 1, *image.size))
    may_miss = start[28] or last_row.getbbox(alpha_only=False) is None  # else there is no need to unpack it again
    if may_miss and not _holds(file, _unpacked_bytes(start)):
        raise OSError("pixels are missing")


def _unpacked_bytes(start):
    """Returns the bytes that the pixels of a PNG file are packed from, by its header."""
    width, height, depth, colour_type = struct.unpack(">IIBB", start[16:26])
    total = 0
    for x, y, step_x, step_y in PASSES if start[28] else ((0, 0, 1, 1),):
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
