"""Processes of their own, with limits of time and memory, that find the arrays of a network in HDF5 files.

Each request on stdin is a line of JSON, {"layout": ..., "max_elements": ..., "size": ...}, and the file's bytes. A
process is forked for it. One line of JSON goes to stdout: {"error": text}, or where in the file the arrays lie:
{"layers": [[layer, [[short name, name, dtype, shape, offset in bytes], ...]], ...], "config": text or null}; then
a line "end CODE" with the exit code of that process.
Nothing of the file is executed, no other file is opened, and no array is unpacked: the HDF5 library, which can be made
to loop, to allocate or to crash by a damaged file, does so there, where it ends that process only.
`weights.hdf5` starts it; it imports nothing of ours, since that would load Keras.
"""

import io
import json
import os
import sys

import h5py
import numpy as np

CPU_SECONDS = 5  # a sound file takes far less than one
SECONDS_PER_BYTE = 2e-8
SPARE_MEMORY = 2**29  # bytes beyond twice the file's size and what the libraries take
MAX_NAMES = 20_000
MAX_NAME = 1000
MAX_TEXT = 2**22  # bytes of the texts of one attribute
MAX_HEAPS = 2**24  # bytes in all of the heaps, which hold the texts
HEAP = b"GCOL\1\0\0\0"
FLOATS = {h5py.h5t.IEEE_F16LE: "<f2", h5py.h5t.IEEE_F32LE: "<f4", h5py.h5t.IEEE_F64LE: "<f8",
          h5py.h5t.IEEE_F16BE: ">f2", h5py.h5t.IEEE_F32BE: ">f4", h5py.h5t.IEEE_F64BE: ">f8"}
ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError)  # of h5py, when damaged


class Refused(Exception):
    """The file is refused; the text says why, without the file's name."""


def main():
    """Answers requests until stdin ends, which it does with the process that asks."""
    while line := sys.stdin.buffer.readline():
        request = json.loads(line)
        content = sys.stdin.buffer.read(request["size"])
        if not hasattr(os, "fork"):  # Windows: this process ends with its first request
            _answer(content, request)
            break
        process = os.fork()
        if not process:
            _answer(content, request)
            sys.stdout.flush()
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        print(f"end {code}", flush=True)


def _answer(content, request):
    """Prints the line about one file."""
    _limit(len(content))
    try:
        result = _read(content, request["layout"], request["max_elements"])
    except Refused as error:
        result = {"error": str(error)}
    except MemoryError:
        result = {"error": "needs far more memory than its size, it may be damaged"}
    except ERRORS as error:
        cause = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        result = {"error": f"cannot be read as HDF5, it may be damaged: {cause}"}
    print(json.dumps(result))


def _limit(size):
    """Bounds the time and memory of this process, and takes the right to write files, where the system can do that."""
    try:
        import resource
    except ImportError:
        return  # Windows: the parent's limit of time is left
    with open("/proc/self/statm", "rb") if sys.platform == "linux" else io.BytesIO(b"60000") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    limits = {"RLIMIT_CPU": round(CPU_SECONDS + size * SECONDS_PER_BYTE), "RLIMIT_AS": used + 2 * size + SPARE_MEMORY,
              "RLIMIT_FSIZE": 0, "RLIMIT_CORE": 0}
    for name, value in limits.items():
        try:
            resource.setrlimit(getattr(resource, name), (value, value))
        except (ValueError, OSError, AttributeError):
            continue  # not on this system, or a lower limit holds already


def _read(content, layout, max_elements):
    _check_heaps(content)
    with h5py.File(io.BytesIO(content), "r") as file:
        if layout == "keras3":
            return {"layers": _keras3_layers(file, max_elements), "config": None}
        if "layers" in file and "layer_names" not in file.attrs:  # .weights.h5 of Keras 3
            return {"layers": _keras3_layers(file, max_elements, named=True), "config": None}
        whole = "model_config" in file.attrs or "model_weights" in file
        group = _child(file, "model_weights") if whole else file
        layers = _keras2_layers(group, max_elements)
        return {"layers": layers, "config": _attribute(file, "model_config", 1)[0] if whole else None}


def _check_heaps(content):
    """Checks that the heaps, which hold the texts, end within the file: from others the HDF5 library may never return.

    A heap begins with GCOL, its version (1), three zeros and its size in 8 bytes (HDF5 file format, section III.E).
    """
    start, walked = content.find(HEAP), 0
    while start >= 0:
        end = start + int.from_bytes(content[start + 8:start + 16], "little")
        position = start + 16
        while position + 16 <= end <= len(content):  # objects: index (2 bytes), 6 more, size (8); index 0: free space
            index, size = (int.from_bytes(content[position + i:position + j], "little") for i, j in ((0, 2), (8, 16)))
            length = 16 + (size + 7) // 8 * 8 if index else size
            if length < 16:
                break
            position += length
            if walked + min(position, end) - start > MAX_HEAPS:
                raise Refused("its heaps are far larger than those of a network, or overlap")
        if not start + 16 <= position <= end or end - position >= 16:
            raise Refused(f"is damaged: its heap at byte {start} does not end where it should")
        walked += position - start
        start = content.find(HEAP, start + 8)


def _keras2_layers(group, budget):
    layers = []
    for name in _unique(_names(group, "layer_names"), "the file"):
        layer = _child(group, name)
        tensors = []
        for weight_name in _unique(_names(layer, "weight_names"), f"layer {name}"):
            short = weight_name.split("/")[-1].split(":")[0]
            if short in (tensor[0] for tensor in tensors):
                raise Refused(f"layer {name} has more than one tensor {short}: models inside models are not supported")
            dataset = _child(layer, weight_name)
            if short.lstrip("_") == "initialized":  # of a weight normalization wrapper
                continue
            tensors.append([short, weight_name, *_locate(weight_name, dataset, budget)])
            budget -= dataset.size
        if tensors:
            layers.append([name, tensors])
    return layers


def _keras3_layers(file, budget, named=False):
    """Returns the arrays of each group 'layers/NAME/vars', which are called 0, 1, ...

    Where `named`, layers without arrays are left out, and the others have the name that the layer had.
    """
    group = _child(file, "layers")
    if not isinstance(group, h5py.Group) or len(group) > MAX_NAMES:
        raise Refused("its layers are not those of a network")
    layers = []
    for name in group:
        _check_name(name)
        if "vars" not in _child(group, name):
            continue
        variables = _child(group, f"{name}/vars")
        tensors = []
        for i in range(len(variables)):
            dataset = _child(variables, str(i))
            tensors.append([str(i), f"{name}/{i}", *_locate(f"{name}/{i}", dataset, budget)])
            budget -= dataset.size
        if tensors:
            if named and "name" in variables.attrs:
                name = _attribute(variables, "name", 1)[0]
            layers.append([name, tensors])
    _unique([name for name, _ in layers], "the file")
    return layers


def _child(group, name):
    """Returns the object `name` below `group`; every step must be a plain link within the file."""
    for part in filter(None, name.split("/")):
        if not isinstance(group, h5py.Group) or part not in group:
            raise Refused(f"has no {name} in {group.name}, as a Keras file does")
        link = group.get(part, getlink=True)
        if not isinstance(link, h5py.HardLink):
            target = getattr(link, "filename", None) or getattr(link, "path", "elsewhere")
            raise Refused(f"{part} in {group.name} is a link to {target}: links are not followed")
        group = group[part]
    return group


def _locate(name, dataset, budget):
    """Checks that a dataset is an array of floats that the file itself holds; returns its dtype, shape and offset."""
    if not isinstance(dataset, h5py.Dataset):
        raise Refused(f"{name} is no array")
    size = int(np.prod(dataset.shape or (), dtype=object))
    if dataset.shape is None or dataset.dtype.kind != "f":
        raise Refused(f"tensor {name} is of the type {dataset.dtype}: numbers of type float were expected")
    if size > budget:
        raise Refused(f"tensor {name} claims the shape {dataset.shape}, {size * dataset.dtype.itemsize:,} "
                      "bytes: far more than such a network needs")
    if dataset.is_virtual or dataset.external:
        raise Refused(f"tensor {name} lies in other files, which are not read")
    if dataset.id.get_create_plist().get_nfilters():
        raise Refused(f"tensor {name} is compressed, which Keras never does: not unpacked")
    if dataset.id.get_storage_size() < size * dataset.dtype.itemsize:
        raise Refused(f"tensor {name} claims the shape {dataset.shape}, which the file does not hold")
    kind = next((name for kind, name in FLOATS.items() if kind.equal(dataset.id.get_type())), None)
    offset = dataset.id.get_offset() if size else 0
    if kind is None or offset is None:
        raise Refused(f"tensor {name} is not stored in one piece of plain floats, as Keras does")
    return kind, list(dataset.shape), offset


def _names(group, attribute):
    """Returns a list of names from an attribute, which Keras 2 cuts in numbered pieces when it is long."""
    if not isinstance(group, h5py.Group):
        raise Refused(f"{group.name} is no group, as in a Keras 2 file")
    if attribute in group.attrs:
        return _attribute(group, attribute, MAX_NAMES)
    names, pieces = [], 0
    while f"{attribute}{pieces}" in group.attrs and len(names) <= MAX_NAMES:
        names += _attribute(group, f"{attribute}{pieces}", MAX_NAMES)
        pieces += 1
    if not pieces:
        raise Refused(f"is no Keras 2 file: {group.name} has no attribute {attribute}")
    return names


def _unique(names, owner):
    seen = set()
    for name in names:
        _check_name(name)
        if name in seen:
            raise Refused(f"{owner} names {name} more than once")
        seen.add(name)
    return names


def _check_name(name):
    if not name.isprintable() or not 0 < len(name) <= MAX_NAME:
        raise Refused(f"the name {name[:50]!a} is not one of a layer or tensor")


def _attribute(group, name, maximum):
    """Returns the texts of an attribute as a list."""
    attribute = group.attrs.get_id(name)
    size = int(np.prod(attribute.shape or (), dtype=object))
    if size == 0:
        return []  # whatever its type: an empty list is stored as numbers or as text
    if size > maximum or attribute.get_storage_size() > MAX_TEXT:
        raise Refused(f"attribute {name} of {group.name} claims {size:,} entries: far more than needed")
    if h5py.check_string_dtype(attribute.dtype) is None and attribute.dtype.kind != "S":
        raise Refused(f"attribute {name} of {group.name} is no text")
    values = np.atleast_1d(np.asarray(group.attrs[name], dtype=object)).ravel()
    return [value.decode("utf-8") if isinstance(value, bytes) else str(value) for value in values]


if __name__ == "__main__":
    main()
