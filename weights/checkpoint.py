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

STATE_KEYS = ("state_dict", "model_state_dict", "params_ema", "params", "model")  # where checkpoints keep the weights
MAX_TENSORS = 20_000
MAX_BYTES = 8 * MAX_ELEMENTS
SAFE_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2",
              "I8": "i1", "U8": "u1", "BOOL": "?"}


def read_tensors(path):
    """Reads a state dict, or the one inside a checkpoint.

    Returns:
        A dict of float32 arrays by parameter name, without a leading 'module.'.

    Raises:
        UserError: the file is damaged, is refused, or holds no state dict.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise UserError(f"{path}: has {size:,} bytes: far more than such a network needs")
    read = _safe_tensors if path.suffix.lower() == ".safetensors" else _torch_tensors
    try:
        return _arrays(path, read(path, path.read_bytes()))
    except Refused as error:
        raise UserError(f"{path}: holds other objects than tensors, which are not loaded since that can run code: "
                        f"{one_line(error)}") from error
    except Damaged as error:
        raise UserError(f"{path}: cannot be read as a PyTorch checkpoint, it may be damaged: "
                        f"{one_line(error)}") from error


def _arrays(path, tensors):
    arrays, budget = {}, MAX_ELEMENTS
    for name, shape, array in tensors:
        budget -= math.prod(shape)
        if budget < 0 or len(arrays) >= MAX_TENSORS:
            raise UserError(f"{path}: tensor {name} claims the shape {shape}: far more than such a network needs")
        arrays[name.removeprefix("module.")] = to_float32(path, name, array())
    return arrays


def _safe_tensors(path, content):
    """Yields name, shape, and a function that returns the array, of each tensor of a .safetensors file."""
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


def _torch_tensors(path, content):
    """Yields what `_safe_tensors` does, of a .pt or .pth file."""
    state, array_of = read_torch(content)
    for key in STATE_KEYS:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
            break
    if not isinstance(state, dict) or not state:
        raise UserError(f"{path}: holds no state dict, which is names and tensors")
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, StoredTensor):
            name = printable(name) if isinstance(name, str) else "a part without a name"
            raise UserError(f"{path}: {name} is of the type {type(tensor).__name__}: a tensor was expected")
        yield printable(name), tensor.shape, functools.partial(array_of, tensor)
