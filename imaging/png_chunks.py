"""The chunks of a PNG file: those of the image, which decoders get alone, and those that tell of it.

A chunk beside the image may be damaged or larger than decoders allow, and the image is sound without it.
"""

import io
import struct
import zlib
from typing import NamedTuple

from imaging.limits import Unsupported
from imaging.metadata import MAX_BYTES, XMP_KEYWORD, Metadata

SIGNATURE = b"\x89PNG\r\n\x1a\n"
END = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))
EXIF_KEYWORDS = (b"Raw profile type exif", b"Raw profile type APP1")  # by which ImageMagick stored EXIF in text
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
MAX_PIECES = 10_000  # of the image, with other chunks between them
MAX_PACKED_TEXT = 1 << 20  # bytes of a text up to which Pillow unpacks it; larger ones are passed on unpacked


class Contents(NamedTuple):
    """What a PNG file holds.

    Attributes:
        image: a binary file of the image alone.
        told: name to content of the other chunks before the pixels, the first of each name.
        texts: (name, content) of the sound chunks with texts, those of profiles and the like excepted.
        exif: block of EXIF, or None.
        xmp: packet of XMP, or None.
    """

    image: io.RawIOBase
    told: dict
    texts: list
    exif: bytes | None
    xmp: bytes | None

    def metadata(self):
        """Returns the `Metadata`."""
        return Metadata(self.exif, self.xmp, tuple(self.texts)).bounded()


def read(file):
    """Returns the `Contents` of a binary file; where it ends too early, so does the image."""
    pieces, told, texts, exif, xmp, has_pixels, has_end = [(0, 8)], {}, [], None, None, False, False
    for name, start, size, end in _chunks(file):
        has_pixels |= name == b"IDAT"
        has_end |= name == b"IEND"
        if not name[0] & 0x20:  # critical: an upper-case letter
            _append(pieces, start - 8, end)
            continue
        content = _sound(file, name, start, size)
        if content is None:
            continue
        if name == b"tRNS" and not has_pixels and size in _transparency_sizes(file):
            _append(pieces, start - 8, end)
        if name in TEXTS:
            keyword, chunk, text = _text(name, content)
            if keyword == XMP_KEYWORD:
                xmp = xmp or text
            elif keyword in EXIF_KEYWORDS:
                exif = exif or _raw_profile(text)
            elif chunk:
                texts.append(chunk)
        elif name == b"eXIf":
            exif = content
        elif name == b"tIME":
            texts.append((name, content))
        elif not has_pixels:
            told.setdefault(name, content)
    is_whole = pieces[-1][1] <= file.seek(0, 2)
    return Contents(_Pieces(file, pieces, b"" if has_end or not is_whole else END), told, texts, exif, xmp)


def _transparency_sizes(file):
    """Returns the sizes that a chunk of transparency may have, by the colour type of the header."""
    file.seek(25)
    return {b"\0": (2,), b"\2": (6,), b"\3": range(1, 257)}.get(file.read(1), ())


def unpacked(data, most=MAX_BYTES):
    """Returns what zlib packed to `data`; None where it is damaged or more than `most` bytes."""
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(data, most)
    except zlib.error:
        return None
    return content if unpacker.eof else None


def chunk(name, content):
    """Returns the bytes of a chunk."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def xmp_chunk(xmp):
    """Returns the chunk of a packet of XMP, unpacked, as readers expect it."""
    return chunk(b"iTXt", XMP_KEYWORD + bytes(5) + xmp)


def _chunks(file):
    """Yields name, start and size of the content, and end of each chunk, up to the image's end."""
    position = file.seek(8)
    name = None
    while name != b"IEND" and len(header := file.read(8)) == 8:
        size, name = struct.unpack(">I4s", header)
        start, position = position + 8, position + 12 + size
        yield name, start, size, position
        file.seek(position)


def _append(pieces, start, end):
    if start == pieces[-1][1]:
        pieces[-1] = pieces[-1][0], end
    elif len(pieces) == MAX_PIECES:
        raise Unsupported(f"it has more than {MAX_PIECES:,} chunks between those of its pixels, which is too much work")
    else:
        pieces.append((start, end))


def _sound(file, name, start, size):
    """Returns the content of a chunk beside the image; None where it is damaged or too large."""
    if size > MAX_BYTES:
        return None
    file.seek(start)
    content = file.read(size)
    return content if file.read(4) == struct.pack(">I", zlib.crc32(name + content)) else None


def _text(name, content):
    """Returns the keyword of a chunk of text, the chunk to pass on, and the text; (None, None, None) for damage."""
    keyword, separator, rest = content.partition(b"\0")
    nothing = None, None, None
    if not (separator and 1 <= len(keyword) <= 79):
        return nothing
    if name == b"tEXt":
        return keyword, (name, content), rest
    if name == b"zTXt":
        text = unpacked(rest[1:]) if rest[:1] == b"\0" else None
        if text is None:
            return nothing
        return keyword, (name, content) if len(text) < MAX_PACKED_TEXT else (b"tEXt", keyword + b"\0" + text), text
    language, _, more = rest[2:].partition(b"\0")
    translation, separator, text = more.partition(b"\0")
    is_packed = rest[:1] == b"\1"
    text = unpacked(text) if is_packed else text
    try:
        text.decode("utf-8")
    except (AttributeError, UnicodeDecodeError):
        return nothing
    if not separator:
        return nothing
    if is_packed and len(text) >= MAX_PACKED_TEXT:
        content = b"\0".join([keyword, b"\0", language, translation, text])
    return keyword, (name, content), text


def _raw_profile(text):
    """Returns what a text of ImageMagick's holds: a line of its name, one of its size, and hexadecimal digits."""
    try:
        return bytes.fromhex("".join(text.decode("ascii").split("\n")[3:]))
    except ValueError:
        return None


class _Pieces(io.RawIOBase):
    """A binary file of pieces (start, end) of another, and of `more` bytes behind them."""

    def __init__(self, file, pieces, more):
        super().__init__()
        self.file, self.pieces, self.more, self.position = file, pieces, more, 0

    def seekable(self):
        return True

    def readable(self):
        return True

    def tell(self):
        return self.position

    def seek(self, offset, whence=io.SEEK_SET):
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.position}.get(whence)
        self.position = offset + (self._length() if base is None else base)
        return self.position

    def read(self, size=-1):
        size = self._length() - self.position if size is None or size < 0 else size
        parts, skipped = [], self.position
        for start, end in self.pieces:
            part = b""
            if skipped < end - start and size > 0:
                self.file.seek(start + skipped)
                part = self.file.read(min(size, end - start - skipped))
                parts.append(part)
                size -= len(part)
                if len(part) < end - start - skipped and size > 0:  # the file ends within the piece
                    self.position += sum(map(len, parts))
                    return b"".join(parts)
            skipped = max(skipped - (end - start), 0)
        parts.append(self.more[skipped:skipped + size] if size > 0 else b"")
        result = b"".join(parts)
        self.position += len(result)
        return result

    def _length(self):
        return sum(end - start for start, end in self.pieces) + len(self.more)
