"""WebP, whose pixels libvips decodes: Pillow takes 18 bytes a pixel to read it."""

import io
import struct

from imaging import pillow, vips
from imaging.content import Content
from imaging.insertion import insert
from imaging.limits import check_size
from imaging.metadata import Metadata

ICC, ALPHA, EXIF, XMP = 0x20, 0x10, 0x08, 0x04  # bits of the header of files with more than pixels
IMAGE = (b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF")  # chunks
LOSSLESS = {"lossless": True, "exact": True}  # exact: the colours of transparent pixels as well


def read(file, start, form):
    """Reads a WebP file, as `imaging.pillow.read` does."""
    image, told, is_lossless = _parts(file.read())
    with vips.errors():
        opened = vips.load().Image.webpload_buffer(image, access="sequential", fail_on="error")
        check_size(opened.width, opened.height)
        with pillow.open_file(io.BytesIO(image), form):
            pass  # which checks that it has one frame
        pixels = vips.to_array(opened)
    metadata = Metadata(told.get(b"EXIF"), told.get(b"XMP ")).bounded()
    return Content(pixels, told.get(b"ICCP"), None, metadata, None, is_lossless)


def save(path, image, form, metadata, is_lossless):
    """Writes an image of libvips with its `Metadata`, lossless where it was."""
    vips.save(path, image, form, **(LOSSLESS if is_lossless else {}))
    chunks = [(name, content) for name, content in ((b"EXIF", metadata.exif), (b"XMP ", metadata.xmp)) if content]
    if chunks:
        _append(path, image, chunks)


def _parts(data):
    """Returns a file of the image alone, the other chunks by name, and whether the image is lossless.

    What stands beside the image may be damaged, and the size of the whole be wrong.
    """
    image, told, position, is_lossless = b"", {}, 12, False
    while position + 8 <= len(data):
        name, size = struct.unpack("<4sI", data[position:position + 8])
        end = position + 8 + size + size % 2
        if name == b"VP8X":
            image += data[position:position + 8] + bytes([data[position + 8] & ~(ICC | EXIF | XMP) if size else 0])
            image += data[position + 9:end]
        elif name in IMAGE:
            image += data[position:end]
            is_lossless |= name == b"VP8L"
        elif end <= len(data) + 1:
            told.setdefault(name, data[position + 8:position + 8 + size])
        position = end
    return data[:4] + struct.pack("<I", len(image) + 4) + data[8:12] + image, told, is_lossless


def _append(path, image, chunks):
    """Puts chunks at the end of a file, and says so in its header, which a file of pixels alone lacks."""
    with open(path, "r+b") as file:
        file.seek(12)
        first = file.read(18)
        if not first.startswith(b"VP8X"):
            header = bytes([ALPHA if image.hasalpha() else 0, 0, 0, 0])
            header += (image.width - 1).to_bytes(3, "little") + (image.height - 1).to_bytes(3, "little")
            first = struct.pack("<4sI", b"VP8X", len(header)) + header
            insert(file, 12, first)
        flags = first[8] | sum({b"EXIF": EXIF, b"XMP ": XMP}[name] for name, _ in chunks)
        file.seek(20)
        file.write(bytes([flags]))
        file.seek(0, 2)
        for name, content in chunks:
            file.write(struct.pack("<4sI", name, len(content)) + content + bytes(len(content) % 2))
        size = file.tell()
        file.seek(4)
        file.write(struct.pack("<I", size - 8))
