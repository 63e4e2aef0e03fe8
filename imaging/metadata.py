"""What a file tells beside pixels, colours and resolution, kept for the output and made to fit its pixels."""

import re
import struct
from typing import NamedTuple

from imaging import directories
from imaging.directories import EXIF, INTEROPERABILITY, LONG, SHORT
from imaging.marks import MARK
from imaging.tags import ORIENTATION, RESOLUTION_UNIT, X_RESOLUTION, Y_RESOLUTION

MAX_BYTES = 8_000_000  # of each kind of metadata: as much as libpng takes of a chunk
PREFIX = b"Exif\0\0"  # before the block in JPEG, and by mistake elsewhere
WIDTHS, HEIGHTS = (256, 40962), (257, 40963)  # tags of the main directory, and of that of EXIF
COLOUR_SPACE, SRGB, UNCALIBRATED = 40961, 1, 65535  # a tag and its values
INDEX = 1  # tag of the interoperability directory: R98 is sRGB, R03 Adobe RGB
THUMBNAIL, THUMBNAIL_BYTES = 513, 514  # tags: where it begins, and its length
XMP_KEYWORD = b"XML:com.adobe.xmp"  # in PNG
XMP_ORIENTATION = re.compile(rb"""(tiff:Orientation\s*(?:=\s*["']|>)\s*)([1-8])""")
XMP_SIZE = rb"""((?:tiff:Image%s|exif:Pixel%sDimension)\s*(?:=\s*["']|>)\s*)\d+"""
XMP_COLOUR_SPACE = re.compile(rb"""(exif:ColorSpace\s*(?:=\s*["']|>)\s*)\d+""")
XMP_THUMBNAILS = re.compile(rb"<(xmp|xap):Thumbnails\b.*?</\1:Thumbnails>", re.DOTALL)


class Metadata(NamedTuple):
    """Metadata of a photo.

    Attributes:
        exif: a block of EXIF, from its byte order on, or None.
        xmp: a packet of XMP, or None.
        texts: chunks of PNG, (name, content), that hold texts.
        comment: of a JPEG, or None.
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    texts: tuple = ()
    comment: bytes | None = None

    def bounded(self):
        """Returns it without what is empty or too large to be passed on, EXIF without its prefix, and no comment that
        is the mark of a file, since its output gets one of its own.
        """
        exif = self.exif and self.exif.removeprefix(PREFIX)
        texts = self.texts if sum(len(content) for _, content in self.texts) <= MAX_BYTES else ()
        comment = None if MARK.match(self.comment or b"") else self.comment
        return Metadata(*(part if part and len(part) <= MAX_BYTES else None for part in (exif, self.xmp)), texts,
                        comment or None)

    def tags(self):
        """Returns the tags that say how the image is shown: the orientation, in EXIF or else in XMP, and resolution."""
        found = {}
        try:
            header = directories.read_header(self.exif or b"")
            entries = directories.read_directory(self.exif, header, header.first).entries
            for tag in (ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT):
                if tag in entries:
                    found[tag] = directories.values(self.exif, header, entries[tag])[0]
        except ValueError:
            pass  # the pixels are sound without tags
        in_xmp = XMP_ORIENTATION.search(self.xmp or b"")
        if in_xmp and ORIENTATION not in found:
            found[ORIENTATION] = int(in_xmp[2])
        return found

    def is_adobe_rgb(self):
        """Whether EXIF has the mark of cameras for Adobe RGB: DCF's 'R03', and a colour space that is not sRGB."""
        try:
            block = _Block(self.exif or b"")
        except ValueError:
            return False
        return block.number(block.exif, COLOUR_SPACE) in (2, UNCALIBRATED) and block.index() == b"R03"

    def fitted(self, width, height, has_profile, swaps_axes=False):
        """Returns it for upright pixels of this size: no thumbnail, and the colour space of the pixels.

        Args:
            has_profile: whether the pixels have a colour profile, which the colour space in EXIF was chosen for.
            swaps_axes: whether rows were columns before the pixels were turned.
        """
        exif = self.exif
        try:
            exif = exif and _Block(exif).fitted(width, height, has_profile, swaps_axes)
        except (ValueError, struct.error):
            exif = None  # damaged: what it says of the image cannot be put right
        return self._replace(exif=exif, xmp=self.xmp and _fitted_xmp(self.xmp, width, height, has_profile))


class _Block:
    """A block of EXIF, which is changed in place, so that the offsets in makers' notes stay right."""

    def __init__(self, data):
        self.data = bytearray(data)
        self.header = directories.read_header(data)
        self.main = directories.read_directory(self.data, self.header, self.header.first)
        self.exif = self._below(self.main, EXIF)
        self.interoperability = self._below(self.exif, INTEROPERABILITY)

    def fitted(self, width, height, has_profile, swaps_axes):
        self._drop_thumbnail()
        for directory in (self.main, self.exif):
            for tags, value in (((ORIENTATION,), 1), (WIDTHS, width), (HEIGHTS, height)):
                for tag in tags:
                    self._set(directory, tag, value)
        if swaps_axes:
            self._swap(X_RESOLUTION, Y_RESOLUTION)
        if not has_profile:
            self._set(self.exif, COLOUR_SPACE, SRGB)
            if self.index() == b"R03":
                start = self.interoperability.entries[INDEX].start
                self.data[start:start + 3] = b"R98"
        return bytes(self.data)

    def number(self, directory, tag):
        """Returns the first number of a tag's value, or None."""
        entry = directory.entries.get(tag)
        return directories.values(self.data, self.header, entry)[0] if entry else None

    def index(self):
        """Returns the index of interoperability, or None."""
        entry = self.interoperability.entries.get(INDEX)
        return entry and bytes(self.data[entry.start:entry.end]).rstrip(b"\0")

    def _below(self, directory, tag):
        return directories.subdirectory(self.data, self.header, directory, tag) or directories.Directory({}, 0)

    def _set(self, directory, tag, value):
        entry = directory.entries.get(tag)
        if entry and not self.header.is_big:
            kind, number = (SHORT, "HH") if value < 1 << 16 else (LONG, "I")
            struct.pack_into(f"{self.header.order}HI{number}", self.data, entry.at + 2, kind, 1,
                             *(value, 0)[:len(number)])

    def _swap(self, tag, other):
        entry, opposite = self.main.entries.get(tag), self.main.entries.get(other)
        if entry and opposite and entry.kind == opposite.kind and entry.count == opposite.count == 1:
            part = self.data[entry.start:entry.end]
            self.data[entry.start:entry.end] = self.data[opposite.start:opposite.end]
            self.data[opposite.start:opposite.end] = part

    def _drop_thumbnail(self):
        """Cuts the second directory off the chain, and its image off the block where it ends it, as it mostly does."""
        offset = directories.next_offset(self.data, self.header, self.main)
        if not offset:
            return
        try:
            second = directories.read_directory(self.data, self.header, offset)
            start, size = (self.number(second, tag) for tag in (THUMBNAIL, THUMBNAIL_BYTES))
        except ValueError:
            start = None
        word = struct.pack("<I", 0)
        self.data[self.main.next_at:self.main.next_at + 4] = word
        if start and size and start > self._last_byte() and start + size + 8 >= len(self.data):
            del self.data[start:]

    def _last_byte(self):
        """Returns where the last of the directories and their values ends."""
        ends = [0]
        for directory in (self.main, self.exif, self.interoperability,
                          self._below(self.main, directories.GPS)):
            ends += [directory.next_at + 4, *(entry.end for entry in directory.entries.values())]
        return max(ends)


def _fitted_xmp(xmp, width, height, has_profile):
    xmp = XMP_THUMBNAILS.sub(b"", XMP_ORIENTATION.sub(rb"\g<1>1", xmp))
    for name, exif_name, value in ((b"Width", b"X", width), (b"Length", b"Y", height)):
        xmp = re.sub(XMP_SIZE % (name, exif_name), rb"\g<1>%d" % value, xmp)
    return xmp if has_profile else XMP_COLOUR_SPACE.sub(rb"\g<1>%d" % SRGB, xmp)
