"""The two formats of PyTorch's files: a zip archive (since version 1.6), and pickles with the numbers behind them."""

import contextlib
import functools
import io
import re
import zipfile
import zlib

import numpy as np

from weights.pickles import ERRORS, TYPES, Refused, read_pickle

MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of the older format
VERSION = 1001  # the second
MAX_DIRECTORY = 2**22  # bytes of an archive's table of contents: of 20,000 tensors
# How much more than the file the parts may be. PyTorch compresses nothing, but people do.
METHODS = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: 20}
END = b"PK\5\6"  # and 18 bytes, at the end of an archive
LARGE_END = b"PK\6\6"  # 56 bytes, and 20 more that say where it is, before it
# What zipfile raises on damaged archives; RuntimeError on encrypted ones.
ZIP_ERRORS = (*ERRORS, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError)


class Damaged(Exception):
    """A file is damaged or holds less than it says; the text is the cause."""


def read_torch(content):
    """Reads the bytes of a .pt or .pth file.

    Returns:
        What the file holds, see `read_pickle`; and a function of a `StoredTensor`, see `_array`.

    Raises:
        Refused: it holds other objects than tensors.
        Damaged: it is neither of the formats, or is damaged.
    """
    with _damage():
        value, read = _read_archive(content) if content.startswith(b"PK\3\4") else _read_stream(content)
    read = functools.cache(read)  # many tensors may share a storage
    return value, lambda tensor: _array(tensor, read)


@contextlib.contextmanager
def _damage():
    try:
        yield
    except ZIP_ERRORS as error:
        raise Damaged(str(error).strip() or type(error).__name__) from error


def _array(tensor, read):
    """Returns a `StoredTensor` as an array of its own type, bfloat16 as float32; the memory may be the storage's.

    `read` returns the bytes of a storage.

    Raises:
        Damaged: its storage is not there, or is smaller than the tensor.
    """
    storage = tensor.storage
    dtype, is_bfloat16 = _item_type(storage.type), TYPES[storage.type] == "bfloat16"
    with _damage():
        content = read(storage.key)
    if len(content) < storage.count * dtype.itemsize:
        raise Damaged(f"storage {storage.key} claims {storage.count:,} numbers, which the file does not hold")
    if 0 in tensor.shape:
        return np.zeros(tensor.shape, "<f4" if is_bfloat16 else dtype)
    last = tensor.offset + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.strides, strict=True))
    if last >= storage.count:
        raise Damaged(f"a tensor of the shape {tensor.shape} ends behind its storage of {storage.count:,} numbers")
    numbers = np.frombuffer(content, dtype, storage.count)
    strides = [step * dtype.itemsize for step in tensor.strides]
    array = np.lib.stride_tricks.as_strided(numbers[tensor.offset:], tensor.shape, strides, writeable=False)
    return bfloat16_to_float32(array) if is_bfloat16 else array


def _item_type(name):
    """Returns the NumPy type of the numbers in a storage; bfloat16 is uint16."""
    return np.dtype(TYPES[name].replace("bfloat16", "<u2"))


def bfloat16_to_float32(bits):
    """Returns numbers of bfloat16, given as uint16, as float32, of which they are the upper half."""
    return (bits.astype("<u4") << 16).view("<f4")


def _read_archive(content):
    _check_directory(content)
    archive = zipfile.ZipFile(io.BytesIO(content))  # in memory: nothing to close
    entries = {entry.filename: entry for entry in archive.infolist()}
    if len(entries) != len(archive.infolist()):
        raise ValueError("its archive holds a part twice")
    if any(entry.compress_type not in METHODS for entry in entries.values()):
        raise ValueError("its archive is compressed by a method that is not unpacked")
    for method, ratio in METHODS.items():
        size = sum(entry.file_size for entry in entries.values() if entry.compress_type == method)
        if size > ratio * len(content):
            raise ValueError(f"its archive claims {size:,} bytes, more than the file holds")
    folders = [name.removesuffix("data.pkl") for name in entries if re.fullmatch(r"[^/]{1,500}/data\.pkl", name)]
    if len(folders) != 1:
        raise ValueError("its archive has no data.pkl, as PyTorch's have")
    folder = folders[0]
    if f"{folder}constants.pkl" in entries:
        raise Refused("a TorchScript program, of which the weights alone can be read: save its state_dict")
    if f"{folder}byteorder" in entries and archive.read(f"{folder}byteorder") != b"little":
        raise ValueError("its numbers have another byte order")
    value = read_pickle(io.BytesIO(archive.read(f"{folder}data.pkl")))
    return value, lambda key: archive.read(f"{folder}data/{key}")


def _check_directory(content):
    """Checks the size of the table of contents, which zipfile reads as a whole whatever it is."""
    end, large = content[-22:], content[-98:-42]
    if not end.startswith(END) or end[-2:] != b"\0\0":
        raise ValueError("its archive is cut or damaged")
    size = int.from_bytes(end[12:16], "little")
    if content[-42:-38] == b"PK\6\7":
        if not large.startswith(LARGE_END) or int.from_bytes(content[-34:-26], "little") != len(content) - 98:
            raise ValueError("its archive is damaged")
        size = int.from_bytes(large[40:48], "little")
    if size > MAX_DIRECTORY:
        raise ValueError("its archive has far more parts than a network")


def _read_stream(content):
    stream = io.BytesIO(content)
    if not content or read_pickle(stream) != MAGIC or read_pickle(stream) != VERSION:
        raise ValueError("it is no file of PyTorch, or a damaged one")
    system = read_pickle(stream)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise ValueError("its numbers have another byte order")
    types = {}
    value, keys = read_pickle(stream, types), read_pickle(stream)
    storages = {}
    for key in keys if isinstance(keys, list) else [None]:
        count = int.from_bytes(stream.read(8), "little")
        size = count * _item_type(types[key]).itemsize
        if size > len(content) - stream.tell():
            raise ValueError(f"storage {key} claims {count:,} numbers, which the file does not hold")
        storages[key] = stream.read(size)
    return value, storages.__getitem__
