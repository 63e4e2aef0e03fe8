"""Writing files so that no half-written one is ever seen under its own name."""

import contextlib
import csv
import os
from pathlib import Path

from errors import UserError


class WriteError(UserError):
    """A file cannot be written: the text names it and the system's cause, such as a full disk."""


@contextlib.contextmanager
def write_errors(path):
    """Turns an `OSError` in the block into a `WriteError` that names `path`."""
    try:
        yield
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error.strerror or error}") from error


def make_folder(path):
    """Makes the folder `path`, unless it is there.

    Raises:
        UserError: it cannot be made, or cannot be written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(f"{path}: cannot be a folder, since a file stands in its way") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise UserError(f"{path}: cannot be written to: permission denied")


@contextlib.contextmanager
def atomic_path(path):
    """Yields a temporary path beside `path`, which is renamed to `path` once the block has succeeded.

    The temporary name keeps the suffix, by which libraries choose the format. The content is synced to the disk
    before the rename. When the block fails, the temporary file is removed and an older `path` stays untouched.
    Missing folders are made.

    Raises:
        WriteError: the system refuses to write.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        with write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):  # most often it is gone, by the rename
            temporary.unlink()


def write_text(path, text):
    """Writes `text` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_csv(path, fields, rows):
    """Writes a CSV file atomically: a header of `fields`, and `rows`, which are dicts with these keys."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fields)
        writer.writeheader()
        writer.writerows(rows)


def is_temporary(path):
    """Whether `path` is a temporary file of `atomic_path`."""
    return path.name.startswith(".") and ".part" in path.suffixes


def outdated(target, source):
    """Whether `target` is missing or older than `source`."""
    return not target.exists() or target.stat().st_mtime < source.stat().st_mtime
