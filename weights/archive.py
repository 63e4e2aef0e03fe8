"""The archive that a .keras file is: its two parts that matter, read within limits. Nothing is unpacked to the disk."""

import io
import zipfile
import zlib

from errors import UserError
from weights.hdf5 import MAX_BYTES
from weights.plain_json import MAX_BYTES as MAX_CONFIG_BYTES
from weights.plain_json import one_line, printable

CONFIG = "config.json"
WEIGHTS = "model.weights.h5"
LARGEST = {CONFIG: MAX_CONFIG_BYTES, WEIGHTS: MAX_BYTES, "metadata.json": 2**16}
MAX_RATIO = 20  # of the weights, which hardly shrink; above MAX_SMALL bytes
MAX_SMALL = 2**22
MAX_DIRECTORY = 2**12  # bytes of an archive's table of contents
END = b"PK\5\6"  # and 18 bytes, at the end of an archive without a comment
LARGE_END = b"PK\6\7"  # and 16 bytes before it, where the archive has more than 4 GB
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What zipfile raises on damaged archives, RuntimeError on encrypted ones.
ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, OSError, KeyError, IndexError)


def read_archive(path):
    """Reads a .keras file.

    Returns:
        The bytes of config.json and of model.weights.h5.

    Raises:
        UserError: the file is no such archive, is damaged, or has other or larger parts than a model file.
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    if size > sum(LARGEST.values()):
        raise UserError(f"{path}: cannot be loaded as a Keras model: it has {size:,} bytes, far more than such a "
                        "network needs")
    content = path.read_bytes()
    try:
        _check_directory(content)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _check_members(archive.infolist())
            return archive.read(CONFIG), archive.read(WEIGHTS)
    except ERRORS as error:
        raise UserError(f"{path}: cannot be loaded as a Keras model: {one_line(error)}") from error


def read_folder(path):
    """Reads what Keras puts into a .keras file from a folder; returns and raises as `read_archive`."""
    contents = []
    for name in (CONFIG, WEIGHTS):
        part = path / name
        if not part.is_file():
            raise UserError(f"{path}: cannot be loaded as a Keras model: it has no {name}")
        if part.stat().st_size > LARGEST[name]:
            raise UserError(f"{part}: has {part.stat().st_size:,} bytes: far more than that of such a network")
        contents.append(part.read_bytes())
    return contents


def _check_directory(content):
    """Checks the size of the table of contents, which zipfile reads as a whole whatever it is."""
    end = content[-22:]
    if not content.startswith(b"PK\3\4") or not end.startswith(END) or content[-42:-38] == LARGE_END:
        raise ValueError("it is no archive as Keras writes it, or is cut or damaged")
    if int.from_bytes(end[12:16], "little") > MAX_DIRECTORY:
        raise ValueError("its archive has far more parts than a model file")


def _check_members(members):
    names = [member.filename for member in members]
    for member in members:
        name, size = member.filename, member.file_size
        if name not in LARGEST or names.count(name) > 1:
            raise ValueError(f"its archive holds {printable(name, 60)} twice, or where a model file has no such part")
        if member.compress_type not in METHODS:
            raise ValueError(f"{name} is compressed by a method that Keras does not use")
        if size > LARGEST[name] or (size > MAX_SMALL and size > MAX_RATIO * member.compress_size):
            raise ValueError(f"{name} unpacks to {size:,} bytes: far more than that of such a network")
    for name in (CONFIG, WEIGHTS):
        if name not in names:
            raise ValueError(f"its archive has no {name}")
