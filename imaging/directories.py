"""Directories of tags, as TIFF files of every kind and blocks of EXIF hold them.

Entries that are damaged, or whose value lies outside the data, are left out: what is sound beside them is kept.
"""

import struct
from fractions import Fraction
from typing import NamedTuple

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}  # bytes
NUMBERS = {3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q"}
RATIONALS = {5: "I", 10: "i"}
LONG, SHORT = 4, 3  # kinds of values
MAX_ENTRIES = 4096
MAX_TREE = 8_000_000  # bytes of a directory's values that are copied
EMPTY = b"II*\0\x08\0\0\0"  # a header whose directory follows it
SUBDIRECTORIES = EXIF, GPS, INTEROPERABILITY = 34665, 34853, 40965  # tags


class Header(NamedTuple):
    """The first bytes: the byte order, '<' or '>', whether it is a BigTIFF, and the offset of the first directory."""

    order: str
    is_big: bool
    first: int


class Entry(NamedTuple):
    """An entry of a directory: its value's kind and count, and where the entry and its value begin."""

    kind: int
    count: int
    at: int
    start: int

    @property
    def end(self):
        """Where its value ends."""
        return self.start + self.count * SIZES[self.kind]


class Directory(NamedTuple):
    """A directory: entries by tag, and where the offset of the next one stands."""

    entries: dict
    next_at: int


def read_header(data):
    """Returns the `Header` of a TIFF file or EXIF block; `data` may be anything that is sliced as bytes are.

    Raises:
        ValueError: it has none.
    """
    order = {b"II": "<", b"MM": ">"}.get(bytes(data[:2]))
    number = struct.unpack(f"{order}H", data[2:4])[0] if order and len(data) >= 8 else None
    if number == 43 and len(data) >= 16:
        return Header(order, True, struct.unpack(f"{order}Q", data[8:16])[0])
    if number != 42:
        raise ValueError("it has no header of TIFF")
    return Header(order, False, struct.unpack(f"{order}I", data[4:8])[0])


def read_directory(data, header, offset):
    """Returns the `Directory` at `offset`.

    Raises:
        ValueError: it is not within the data.
    """
    count_format, entry_format, word = ("Q", "HHQ", 8) if header.is_big else ("H", "HHI", 4)
    first = offset + struct.calcsize(f"<{count_format}")
    if not 0 < offset < first <= len(data):
        raise ValueError("a directory lies outside the file")
    count, size = struct.unpack(header.order + count_format, data[offset:first])[0], 4 + 2 * word
    next_at = first + count * size
    if count > MAX_ENTRIES or next_at > len(data):
        raise ValueError("a directory is damaged")
    entries = {}
    for at in range(first, next_at, size):
        tag, kind, length = struct.unpack(header.order + entry_format, data[at:at + 4 + word])
        bytes_needed = length * SIZES.get(kind, 0)
        start = at + 4 + word
        if bytes_needed > word:
            start = struct.unpack(f"{header.order}{'Q' if header.is_big else 'I'}", data[start:start + word])[0]
        if bytes_needed and start + bytes_needed <= len(data):
            entries.setdefault(tag, Entry(kind, length, at, start))
    return Directory(entries, next_at)


def next_offset(data, header, directory):
    """Returns the offset of the directory after this one, 0 where there is none."""
    word = "Q" if header.is_big else "I"
    part = data[directory.next_at:directory.next_at + struct.calcsize(f"<{word}")]
    return struct.unpack(header.order + word, part)[0] if len(part) == struct.calcsize(f"<{word}") else 0


def values(data, header, entry):
    """Returns an entry's value: bytes, or a tuple of numbers."""
    part = bytes(data[entry.start:entry.end])
    if entry.kind in NUMBERS:
        return struct.unpack(f"{header.order}{entry.count}{NUMBERS[entry.kind]}", part)
    if entry.kind in RATIONALS:
        parts = struct.unpack(f"{header.order}{2 * entry.count}{RATIONALS[entry.kind]}", part)
        return tuple(Fraction(*pair) if pair[1] else Fraction(0) for pair in zip(*[iter(parts)] * 2, strict=True))
    return part


def tree(data, header, directory, keep=lambda tag: True):
    """Returns a directory and those within it as {tag: (kind, count, bytes in little-endian order) or such a dict}."""
    result, size = {}, 0
    for tag, entry in directory.entries.items():
        if not keep(tag) or size + entry.end - entry.start > MAX_TREE:
            continue
        size += entry.end - entry.start
        if tag not in SUBDIRECTORIES:
            result[tag] = (entry.kind, entry.count, _little(bytes(data[entry.start:entry.end]), entry.kind, header))
        elif inner := subdirectory(data, header, directory, tag):
            below = {GPS: (), EXIF: (INTEROPERABILITY,)}.get(tag, ())
            result[tag] = tree(data, header, inner, lambda tag, below=below: tag not in SUBDIRECTORIES or tag in below)
    return result


def whole_tree(block):
    """Returns the `tree` of all tags of a block of EXIF.

    Raises:
        ValueError: it is damaged.
    """
    header = read_header(block)
    return tree(block, header, read_directory(block, header, header.first),
                lambda tag: tag != INTEROPERABILITY)  # which belongs to EXIF


def subdirectory(data, header, directory, tag):
    """Returns the directory that a tag points to, or None."""
    entry = directory.entries.get(tag)
    try:
        return entry and read_directory(data, header, int(values(data, header, entry)[0]))
    except ValueError:
        return None


def pack(entries, base, is_big=False):
    """Returns the bytes of a little-endian directory at the offset `base`, which ends the chain.

    Args:
        entries: as `tree` returns it; bytes stand for a whole entry as it is.
    """
    count_format, entry_format, word = ("<Q", "<HHQ", 8) if is_big else ("<H", "<HHI", 4)
    offset_kind, offset_format = (16, "<Q") if is_big else (LONG, "<I")
    data_at = base + struct.calcsize(count_format) + len(entries) * (4 + 2 * word) + word
    rows, more = b"", b""
    for tag, entry in sorted(entries.items()):
        if isinstance(entry, bytes):
            rows += entry
            continue
        if isinstance(entry, dict):
            entry, more = ((offset_kind, 1, struct.pack(offset_format, data_at + len(more))),
                           more + pack(entry, data_at + len(more), is_big))
        kind, count, value = entry
        if len(value) > word:
            value, more = struct.pack(offset_format, data_at + len(more)), more + value + bytes(-len(value) % 2)
        rows += struct.pack(entry_format, tag, kind, count) + value.ljust(word, b"\0")
    return struct.pack(count_format, len(entries)) + rows + bytes(word) + more


def _little(value, kind, header):
    """Returns the bytes of a value in little-endian order."""
    size = {5: 4, 10: 4}.get(kind, SIZES[kind])  # a rational is a pair of numbers
    if header.order == "<" or size == 1:
        return value
    return b"".join(value[start:start + size][::-1] for start in range(0, len(value), size))
