"""Reading the tensors of PyTorch's files and of .safetensors from anybody, without PyTorch: nothing is executed."""

import functools
import math

import numpy as np
from safetensors import SafetensorError, deserialize

from errors import UserError
from weights.pickles import Refused, StoredTensor
from weights.plain_json import one_line, printable
from weights.tensors import MAX_ELEMENTS, to_float32
from weights.torch_files import Damaged, bfloat16_to_float32, read_torch
from weights.unwrapping import find_state, unwrap_names

MAX_TENSORS = 20_000
MAX_HEADER = 2**22  # bytes of a .safetensors file that say what its tensors are
MAX_BYTES = 8 * MAX_ELEMENTS
SAFE_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2",
              "I8": "i1", "U8": "u1", "BOOL": "?"}


def read_tensors(path):
    """Reads a state dict, or the one inside a checkpoint.

    Returns:
        A dict of float32 arrays by parameter name, without what `unwrapping` takes off; and notes for the user.

    Raises:
        UserError: the file is damaged, is refused, or holds no state dict.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise UserError(f"{path}: has {size:,} bytes: far more than such a network needs")
    read = _safe_tensors if path.suffix.lower() == ".safetensors" else _torch_tensors
    notes = []
    try:
        return _arrays(path, list(read(path, path.read_bytes(), notes)), notes), notes
    except Refused as error:
        raise UserError(f"{path}: holds other objects than tensors, which are not loaded since that can run code: "
                        f"{one_line(error)}") from error
    except Damaged as error:
        raise UserError(f"{path}: cannot be read as a PyTorch checkpoint, it may be damaged: "
                        f"{one_line(error)}") from error


def _arrays(path, tensors, notes):
    if len(tensors) > MAX_TENSORS:
        raise UserError(f"{path}: claims {len(tensors):,} tensors: far more than such a network has")
    short_names, found = unwrap_names([name for name, _, _ in tensors])
    notes += found
    arrays, budget = {}, MAX_ELEMENTS
    for name, shape, array in tensors:
        if name not in short_names:
            continue
        budget -= math.prod(shape)
        if budget < 0:
            raise UserError(f"{path}: tensor {name} claims the shape {shape}: far more than such a network needs")
        arrays[short_names[name]] = to_float32(path, name, array())
    return arrays


def _safe_tensors(path, content, _):
    """Yields name, shape, and a function that returns the array, of each tensor of a .safetensors file."""
    if (size := int.from_bytes(content[:8], "little")) > MAX_HEADER:
        raise UserError(f"{path}: claims {size:,} bytes of names and shapes, far more than such a network has: it may "
                        "be damaged")
    try:
        found = deserialize(content)
    except SafetensorError as error:
        raise UserError(f"{path}: cannot be read as a .safetensors file, it may be damaged: "
                        f"{one_line(error)}") from error
    for name, tensor in found:
        kind, shape = tensor["dtype"], tuple(tensor["shape"])
        if kind not in SAFE_TYPES:
            raise UserError(f"{path}: tensor {printable(name)} holds numbers of the type {kind}: one of "
                            f"{', '.join(SAFE_TYPES)} was expected")
        numbers = np.frombuffer(tensor["data"], SAFE_TYPES[kind]).reshape(shape)
        decode = bfloat16_to_float32 if kind == "BF16" else np.asarray
        yield printable(name), shape, functools.partial(decode, numbers)


def _torch_tensors(path, content, notes):
    """Yields what `_safe_tensors` does, of a .pt or .pth file; adds to `notes` which of its networks that is."""
    value, array_of = read_torch(content)
    state, found = find_state(value)
    notes += found
    if not isinstance(state, dict) or not state:
        raise UserError(f"{path}: holds no state dict, which is names and tensors")
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, StoredTensor):
            name = printable(name) if isinstance(name, str) else "a part without a name"
            raise UserError(f"{path}: {name} is of the type {type(tensor).__name__}: a tensor was expected")
        yield printable(name), tensor.shape, functools.partial(array_of, tensor)
