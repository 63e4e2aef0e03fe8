"""Writing files so that no half-written one is ever seen under its own name, and reading small ones."""

import contextlib
import csv
import functools
import os
import platform
import re
import shutil
import stat
import sys
import tempfile
import zlib
from pathlib import Path

from errors import UserError

MAX_NAME = 255  # bytes of a name in most file systems
MAX_SUFFIX = 32  # bytes; what is longer is no suffix by which a library chooses a format
MAX_TEXT = 64 << 20  # bytes of a text file that is read
TEMPORARY = re.compile(r"\..*\.(?P<pid>[0-9]+)(-(?P<host>[0-9a-f]{8}))?\.part(\.[^.]*)?", re.DOTALL)
HOST = f"{zlib.crc32(platform.node().encode()):08x}"  # in temporary names, since folders are shared between machines


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
    """Makes the folder `path`, unless it is there; in one that is there, what a dead process left is removed.

    Raises:
        UserError: it cannot be made, or cannot be written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(f"{path}: cannot be a folder, since a file stands in its way") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise UserError(f"{path}: cannot be written to: permission denied")
    remove_leftovers(path)


@contextlib.contextmanager
def atomic_path(path):
    """Yields a temporary path beside `path`, which is renamed to `path` once the block has succeeded.

    The temporary name keeps the suffix, by which libraries choose the format. The content is synced to the disk
    before the rename, and the folder after it. When the block fails, the temporary file is removed and an older `path`
    stays untouched. Missing folders are made. A file that is replaced passes on its permissions, and a symbolic link
    stays: its target is replaced. What is there and no regular file, such as a device, is written to.

    Raises:
        WriteError: the system refuses to write.
    """
    path = Path(path)
    with write_errors(path):
        status = _status(path)
        if status is None or (stat.S_ISREG(status.st_mode) and _own_stream(status) is None):
            writing = _replaced(Path(os.path.realpath(path)), status)
        else:
            writing = _written_in_place(path, status)
        with writing as temporary:
            yield temporary


@contextlib.contextmanager
def _replaced(path, status):
    """Yields a temporary path and then renames it to `path`, a regular file of this status, or None for a new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers_once(path.parent)
    temporary = path.with_name(_temporary_name(path))
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        if status is not None:
            _pass_on_permissions(status, temporary)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):  # most often it is gone, by the rename
            temporary.unlink()


@contextlib.contextmanager
def _written_in_place(path, status):
    """Yields a temporary path elsewhere and then copies it into `path`.

    The detour is for libraries that seek in what they write, or add a suffix.
    """
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / f"content{path.suffix}"
        yield temporary
        descriptor = _own_stream(status)
        if descriptor is not None:  # opened by name, it would be written from its beginning
            sys.stdout.flush()
            descriptor = os.dup(descriptor)
        with (open(temporary, "rb") as source, open(path if descriptor is None else descriptor, "wb") as target):
            shutil.copyfileobj(source, target)


@contextlib.contextmanager
def atomic_folder(path):
    """Yields a temporary folder beside `path`, which becomes `path` once the block has succeeded.

    An older folder is replaced then; what it is must have been looked at before. When the block fails, the temporary
    folder is removed and an older one stays untouched. Missing folders above are made.

    Raises:
        WriteError: the system refuses to write.
    """
    path = Path(os.path.realpath(path))
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers_once(path.parent)
        temporary = path.with_name(_temporary_name(path))
        old = temporary.with_name(f".old{temporary.name}")  # a temporary name too
        temporary.mkdir()
        try:
            yield temporary
            _exchange(temporary, path, old)
            _sync_folder(path.parent)
        finally:
            for folder in (temporary, old):
                shutil.rmtree(folder, ignore_errors=True)


def _exchange(new, path, old):
    """Renames the folder `new` to `path`; one that is there gets the name `old`, or its own again after an error."""
    if not path.exists():
        new.rename(path)
        return
    path.rename(old)
    try:
        new.rename(path)
    except OSError:
        old.rename(path)
        raise


def _status(path):
    """Returns the status of what is there, behind symbolic links, or None."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _own_stream(status):
    """Returns the descriptor of stdout or stderr where a file of this status is one of them, else None."""
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):  # it is closed
            if os.path.samestat(os.fstat(descriptor), status):
                return descriptor
    return None


def _pass_on_permissions(status, path):
    if os.name == "posix" and (os.geteuid(), os.getegid()) != (status.st_uid, status.st_gid):
        with contextlib.suppress(OSError):  # only root may do so
            os.chown(path, status.st_uid, status.st_gid)
    os.chmod(path, status.st_mode & 0o777)


def _sync_folder(folder):
    """Makes a rename in `folder` last through a loss of power, where the system can."""
    with contextlib.suppress(OSError):  # the file is in its place: some file systems cannot do more
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _temporary_name(path):
    """Returns the name of the temporary file for `path`, which is no longer than a file system takes."""
    stem, suffix = path.stem, path.suffix
    if len(os.fsencode(suffix)) > MAX_SUFFIX:
        stem, suffix = path.name, ""
    end = f".{os.getpid()}-{HOST}.part{suffix}"
    if len(os.fsencode(f".{stem}{end}")) > MAX_NAME:
        end = f".{zlib.crc32(os.fsencode(stem)):08x}{end}"  # of another name with the same beginning, it is another
        while len(os.fsencode(f".{stem}{end}")) > MAX_NAME:
            stem = stem[:-1]
    return f".{stem}{end}"


def is_temporary(path):
    """Whether `path` is a temporary file of `atomic_path`."""
    return TEMPORARY.fullmatch(path.name) is not None


def remove_leftovers(folder):
    """Removes the temporary files in `folder` whose processes, of this machine, have died."""
    with contextlib.suppress(OSError):  # another process removes them, or nothing may be removed here
        for entry in os.scandir(folder):
            match = TEMPORARY.fullmatch(entry.name)
            if match and match["host"] in (None, HOST) and not _is_alive(int(match["pid"])):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                    continue
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


@functools.lru_cache(1024)
def _remove_leftovers_once(folder):
    """Removes leftovers where this process writes for the first time."""
    remove_leftovers(folder)


def _is_alive(pid):
    """Whether there is a process; True where that cannot be known."""
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # it is another user's
        pass
    return True


def read_text(path):
    """Returns the text of a small file; bytes that are no UTF-8 are kept, and line ends are as they are in it.

    Raises:
        OSError: it cannot be read.
        UserError: it is a device, a pipe or the like, which is not opened, or far too large.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise UserError(f"{path}: is no regular file")
    if status.st_size > MAX_TEXT:
        raise UserError(f"{path}: has {status.st_size:,} bytes, far more than such a file has")
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        return file.read()


def write_text(path, text):
    """Writes `text` to `path` atomically, in UTF-8; names that are not UTF-8 keep their bytes."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")


def write_csv(path, fields, rows):
    """Writes a CSV file atomically: a header of `fields`, and `rows`, which are dicts with these keys."""
    with (atomic_path(path) as temporary,
          open(temporary, "w", encoding="utf-8", errors="surrogateescape", newline="") as file):
        writer = csv.DictWriter(file, fields)
        writer.writeheader()
        writer.writerows(rows)
