"""Reading Keras 2 HDF5 files from anybody: arrays and the configuration's text, and nothing is executed.

A file is refused where it would lead to other files, or make more of itself than it holds.
"""

import json
from pathlib import Path

import h5py
import numpy as np

from errors import UserError
from weights.tensors import MAX_ELEMENTS, Tensor, to_float32

MAX_NAMES = 20_000
HEAP = b"GCOL\1\0\0\0"
ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, MemoryError)  # of h5py, when damaged


def read_hdf5(path):
    """Reads a Keras 2 file of weights, or of a whole model.

    Returns:
        The layers that have weights, in the file's order: a list of (name, {short weight name: Tensor}); and the
        configuration of a whole model as parsed JSON, or None.

    Raises:
        UserError: the file is damaged, is none of Keras 2, or is refused.
    """
    if not h5py.is_hdf5(path):
        raise UserError(f"{path}: is no HDF5 file, or a damaged one")
    _check_heaps(path)
    try:
        with h5py.File(path, "r") as file:
            whole = "model_config" in file.attrs or "model_weights" in file
            group = _child(path, file, "model_weights") if whole else file
            names = _names(path, group, "layer_names")
            layers = _read_layers(path, group, names)
            return layers, _read_config(path, file) if whole else None
    except ERRORS as error:
        cause = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"{path}: cannot be read as HDF5, it may be damaged: {cause}") from error


def _check_heaps(path):
    """Checks that the heaps, which hold the texts, end within the file: from others the HDF5 library may never return.

    A heap begins with GCOL, its version (1), three zeros and its size in 8 bytes (HDF5 file format, section III.E).
    """
    content = Path(path).read_bytes()
    start = content.find(HEAP)
    while start >= 0:
        end = start + int.from_bytes(content[start + 8:start + 16], "little")
        position = start + 16
        while position + 16 <= end <= len(content):  # objects: index (2 bytes), 6 more, size (8); index 0: free space
            index, size = (int.from_bytes(content[position + i:position + j], "little") for i, j in ((0, 2), (8, 16)))
            length = 16 + (size + 7) // 8 * 8 if index else size
            if length < 16:
                break
            position += length
        if not start + 16 <= position <= end or end - position >= 16:
            raise UserError(f"{path}: is damaged: its heap at byte {start} does not end where it should")
        start = content.find(HEAP, start + 8)


def _read_layers(path, group, names):
    layers, budget = [], MAX_ELEMENTS
    for name in names:
        layer = _child(path, group, name)
        tensors = {}
        for weight_name in _names(path, layer, "weight_names"):
            short = weight_name.split("/")[-1].split(":")[0]
            if short in tensors:
                raise UserError(f"{path}: layer {name} has more than one tensor {short}: models inside models are not "
                                "supported")
            dataset = _child(path, layer, weight_name)
            if short.lstrip("_") == "initialized":  # of a weight normalization wrapper
                continue
            budget -= _check_dataset(path, weight_name, dataset, budget)
            tensors[short] = Tensor(weight_name, to_float32(path, weight_name, dataset[()]))
        if tensors:
            layers.append((name, tensors))
    return layers


def _read_config(path, file):
    text = _attribute(path, file, "model_config", 1)
    try:
        return json.loads(text[0])
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: its configuration is not JSON: {error}") from error


def _child(path, group, name):
    """Returns the object `name` below `group`; every step must be a plain link within the file."""
    for part in filter(None, name.split("/")):
        if not isinstance(group, h5py.Group) or part not in group:
            raise UserError(f"{path}: has no {name} in {group.name}, as a Keras 2 file does")
        link = group.get(part, getlink=True)
        if not isinstance(link, h5py.HardLink):
            target = getattr(link, "filename", None) or getattr(link, "path", "elsewhere")
            raise UserError(f"{path}: {part} in {group.name} is a link to {target}: links are not followed")
        group = group[part]
    return group


def _check_dataset(path, name, dataset, budget):
    """Checks that a dataset is an array of floats that the file itself holds; returns its number of elements."""
    if not isinstance(dataset, h5py.Dataset):
        raise UserError(f"{path}: {name} is no array")
    size = int(np.prod(dataset.shape or (), dtype=object))
    if dataset.shape is None or dataset.dtype.kind != "f":
        raise UserError(f"{path}: tensor {name} is of the type {dataset.dtype}: numbers of type float were expected")
    if size > budget:
        raise UserError(f"{path}: tensor {name} claims the shape {dataset.shape}, {size * dataset.dtype.itemsize:,} "
                        "bytes: far more than such a network needs")
    if dataset.is_virtual or dataset.external:
        raise UserError(f"{path}: tensor {name} lies in other files, which are not read")
    if dataset.id.get_create_plist().get_nfilters():
        raise UserError(f"{path}: tensor {name} is compressed, which Keras never does: not unpacked")
    if dataset.id.get_storage_size() < size * dataset.dtype.itemsize:
        raise UserError(f"{path}: tensor {name} claims the shape {dataset.shape}, which the file does not hold")
    return size


def _names(path, group, attribute):
    """Returns a list of names from an attribute, which Keras 2 cuts in numbered pieces when it is long."""
    if not isinstance(group, h5py.Group):
        raise UserError(f"{path}: {group.name} is no group, as in a Keras 2 file")
    if attribute in group.attrs:
        return _attribute(path, group, attribute, MAX_NAMES)
    pieces = []
    while f"{attribute}{len(pieces)}" in group.attrs:
        pieces.append(_attribute(path, group, f"{attribute}{len(pieces)}", MAX_NAMES))
    if not pieces:
        raise UserError(f"{path}: is no Keras 2 file: {group.name} has no attribute {attribute}")
    return [name for piece in pieces for name in piece]


def _attribute(path, group, name, maximum):
    """Returns the texts of an attribute as a list."""
    attribute = group.attrs.get_id(name)
    size = int(np.prod(attribute.shape or (), dtype=object))
    if size == 0:
        return []  # whatever its type: an empty list is stored as numbers or as text
    if size > maximum or attribute.get_storage_size() > 2**26:
        raise UserError(f"{path}: attribute {name} of {group.name} claims {size:,} entries: far more than needed")
    if h5py.check_string_dtype(attribute.dtype) is None and attribute.dtype.kind != "S":
        raise UserError(f"{path}: attribute {name} of {group.name} is no text")
    values = np.atleast_1d(np.asarray(group.attrs[name], dtype=object))
    return [value.decode("utf-8") if isinstance(value, bytes) else str(value) for value in values]
