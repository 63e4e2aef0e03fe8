"""Reading the tensors of a PyTorch checkpoint from anybody: nothing in it is executed."""

import importlib
import pickle
import zipfile

from errors import UserError
from weights.tensors import MAX_ELEMENTS, to_float32

STATE_KEYS = ("state_dict", "model_state_dict", "params_ema", "params", "model")  # where checkpoints keep the weights
MAX_TENSORS = 20_000
MAX_BYTES = 8 * MAX_ELEMENTS
ERRORS = (RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError, EOFError, OSError,
          OverflowError, MemoryError, zipfile.BadZipFile)  # of torch.load on damaged files


def read_tensors(path):
    """Reads a state dict, or the one inside a checkpoint.

    Returns:
        A dict of float32 arrays by parameter name, without a leading 'module.'.

    Raises:
        UserError: PyTorch is not installed, or the file is damaged, is refused, or holds no state dict.
    """
    try:
        torch = importlib.import_module("torch")
    except ImportError as error:
        raise UserError(f"{path}: reading a PyTorch checkpoint needs PyTorch: pip install torch") from error
    _check_size(path)
    state = _load(torch, path)
    for key in STATE_KEYS:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
            break
    if not isinstance(state, dict) or not state:
        raise UserError(f"{path}: holds no state dict, which is names and tensors")
    return _arrays(torch, path, state)


def _check_size(path):
    """Refuses an archive that would unpack to far more than a network's weights."""
    size = path.stat().st_size
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                size = max(size, sum(entry.file_size for entry in archive.infolist()))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise UserError(f"{path}: is a damaged checkpoint: {error}") from error
    if size > MAX_BYTES:
        raise UserError(f"{path}: claims {size:,} bytes: far more than such a network needs")


def _load(torch, path):
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(f"{path}: is damaged, or holds other objects than tensors, which are not loaded since that can "
                        f"run code: {_cause(error)}") from error
    except ERRORS as error:
        raise UserError(f"{path}: cannot be loaded as a PyTorch checkpoint, it may be damaged: "
                        f"{_cause(error)}") from error


def _arrays(torch, path, state):
    if len(state) > MAX_TENSORS:
        raise UserError(f"{path}: claims {len(state):,} tensors: far more than such a network has")
    arrays, budget = {}, MAX_ELEMENTS
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise UserError(f"{path}: {name} is of the type {type(tensor).__name__}: a tensor was expected")
        if not tensor.is_floating_point() or tensor.layout != torch.strided or tensor.device.type != "cpu":
            raise UserError(f"{path}: tensor {name} is of the type {tensor.dtype}, {tensor.layout}, on "
                            f"{tensor.device}: numbers of type float were expected")
        budget -= tensor.numel()
        if budget < 0:
            raise UserError(f"{path}: tensor {name} claims the shape {tuple(tensor.shape)}: far more than such a "
                            "network needs")
        arrays[name.removeprefix("module.")] = to_float32(path, name, tensor.detach().to(torch.float32).numpy())
    return arrays


def _cause(error):
    """Returns the line of an error of torch.load that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "Unsupported" in line or "WeightsUnpickler error" in line]
    return (telling or lines or [type(error).__name__])[0].split(" Please")[0]
