"""WebP, whose pixels libvips decodes: Pillow takes 18 bytes a pixel to read it."""

import struct

from imaging import pillow, vips
from imaging.insertion import insert
from imaging.limits import check_size

ICC, ALPHA, EXIF, XMP = 0x20, 0x10, 0x08, 0x04  # bits of the header of files with more than pixels
LOSSLESS = {"lossless": True, "exact": True}  # exact: the colours of transparent pixels as well


def read(file, start, form):
    """Reads a WebP file, as `imaging.pillow.read` does."""
    with pillow.open_file(file, form) as image:
        content = pillow.content(image, None)
    with vips.errors():
        image = vips.open_file(f"{form.vips}load", file.name)
        check_size(image.width, image.height)
        return content._replace(pixels=vips.to_array(image), is_lossless=_is_lossless(file))


def save(path, image, form, metadata, is_lossless):
    """Writes an image of libvips with its `Metadata`, lossless where it was."""
    vips.save(path, image, form, **(LOSSLESS if is_lossless else {}))
    chunks = [(name, content) for name, content in ((b"EXIF", metadata.exif), (b"XMP ", metadata.xmp)) if content]
    if chunks:
        _append(path, image, chunks)


def _is_lossless(file):
    return any(name == b"VP8L" for name, _, _ in _chunks(file))


def _chunks(file):
    """Yields the name, start and size of each chunk."""
    position = file.seek(12)
    while len(header := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", header)
        yield name, position + 8, size
        position = file.seek(position + 8 + size + size % 2)


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
