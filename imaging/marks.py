"""The mark of a file that a run has written: how it was made, and of what.

By it an output is known as one, wherever it is and whatever it is called: it is not enlarged again, it may be replaced,
and whether it still fits its photo and the model can be told. The mark stands in the file itself. A list beside the
files would be one more file in a user's folder; it would be lost when outputs are moved, mixed up when two runs write
into one folder, and out of date when an output is replaced by hand. A mark is gone, or counts another number of bytes
than the file has, when another program has written the file since.
"""

import json
import os
import re
import struct
import zlib

from imaging.formats import format_by_start

MARK = re.compile(rb"super-resolution:(\d{12}):(\{.*\})\n")
START = 32  # bytes by which a format is known
TAIL = 4096  # bytes at the end of a file in which its mark is looked for; it has some hundred
CHUNK = b"srMK"  # by PNG's rules: not needed to show the image, private, and to be dropped by a program that changes it
ENDS = {"PNG": b"\0\0\0\0IEND\xaeB`\x82", "JPEG": b"\xff\xd9"}  # what stays last in a file


def add_mark(path, facts):
    """Adds a mark to a file that is being written: an image of one of the `FORMATS`, or an HTML page.

    Args:
        path: of the file, whole but for the mark.
        facts: dict of what JSON can hold.
    """
    with open(path, "r+b") as file:
        form = format_by_start(file.read(START))
        kind = form.name if form else "HTML"
        end = ENDS.get(kind, b"")
        file.seek(-len(end), 2)
        if file.read() != end:
            end = b""
        size = file.seek(0, 2)
        enclosed = _enclosed(kind, _text(facts, size + len(_enclosed(kind, _text(facts, 0)))))
        file.seek(size - len(end))
        file.write(enclosed + end)
        if kind == "WebP":  # its header counts the bytes behind itself
            file.seek(4)
            file.write(struct.pack("<I", size + len(enclosed) - 8))


def read_mark(path):
    """Returns the facts of a file's mark; None where it has none, was changed since, or cannot be read."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL))
            found = MARK.findall(file.read())
        if not found or int(found[-1][0]) != size:
            return None
        return json.loads(found[-1][1])
    except (OSError, ValueError):
        return None


def is_foreign(path):
    """Whether there is a file, at `path`, that no run has written, or that was changed since."""
    return os.path.isfile(path) and read_mark(path) is None  # Path's own fails where a name is too long


def _text(facts, size):
    return b"super-resolution:%012d:%s\n" % (size, json.dumps(facts).encode("ascii"))


def _enclosed(kind, text):
    """Returns a mark as the files of a format can hold it, where it disturbs no reader."""
    if kind == "PNG":
        return struct.pack(">I", len(text)) + CHUNK + text + struct.pack(">I", zlib.crc32(CHUNK + text))
    if kind == "JPEG":  # a comment
        return b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text
    if kind == "WebP":
        return CHUNK + struct.pack("<I", len(text)) + text + bytes(len(text) % 2)
    if kind == "AVIF":
        return struct.pack(">I", len(text) + 8) + b"free" + text
    if kind == "HTML":
        return b"<!-- " + text + b"-->\n"
    return text  # behind all that TIFF and BMP refer to
