"""What the readers of PyTorch's networks share: tensors in Keras' layout under our layers' names and channel orders."""

import re

import numpy as np

from errors import UserError
from weights.tensors import PYTORCH_AXES, Tensor, fold_weight_norm, shuffle_order

WEIGHT_NORM = {"weight_g": "gain", "weight_v": "direction", "parametrizations.weight.original0": "gain",
               "parametrizations.weight.original1": "direction"}
# The layers before each pixel shuffle: of three colours, or of as many features as they take.
COLOUR_SHUFFLES = {"wdsr-a": ("tail", "skip"), "wdsr-b": ("tail", "skip"), "srvgg": ("tail",), "span": ("tail",)}
FEATURE_SHUFFLES = ("edsr", "msr-resnet")


def plain_name(name):
    """Returns the name that a part of a normalized weight would have as a whole."""
    end = next((end for end in WEIGHT_NORM if name.endswith(f".{end}")), None)
    return name if end is None else f"{name.removesuffix(end)}weight"


def merged(path, arrays):
    """Returns tensors in Keras' layout, with the two parts of each normalized weight folded into one kernel."""
    tensors, parts = {}, {}
    for name, array in arrays.items():
        module, role = next(((name[:-len(end) - 1], role) for end, role in WEIGHT_NORM.items()
                             if name.endswith(f".{end}")), (None, None))
        if role:
            parts.setdefault(module, {})[role] = (name, array)
            tensors.setdefault(f"{module}.weight", None)  # keeps the order
        else:
            tensors[name] = _to_keras(name, array)
    for module, pair in parts.items():
        name, first = next(iter(pair.values()))
        if len(pair) != 2 or pair["direction"][1].ndim != 4 or pair["gain"][1].size != pair["direction"][1].shape[0]:
            raise UserError(f"{path}: tensor {name} of the shape {first.shape} is no part of a normalized weight with "
                            "a gain for each filter")
        direction = _to_keras(*pair["direction"])
        tensors[f"{module}.weight"] = direction._replace(array=fold_weight_norm(direction.array, pair["gain"][1]))
    return tensors


def named_layers(path, kind, tensors, rename):
    """Returns the tensors of each of our layers, with channels before a pixel shuffle in our order.

    Args:
        path: names the file in errors.
        kind: of the network, one of `model.NETWORKS`.
        tensors: as `merged` returns them.
        rename: function from a module's name to our layer's, or None where it has no place.

    Raises:
        UserError: names the first tensor that has no place.
    """
    layers = {}
    for name, tensor in tensors.items():
        module, _, role = name.rpartition(".")
        ours = rename(module)
        if ours is None or role not in ("weight", "bias"):
            raise UserError(f"{path}: tensor {name} of the shape {tensor.in_file(tensor.array.shape)} has no place in "
                            f"a PyTorch network of the kind {kind}")
        layers.setdefault(ours, {})[role] = tensor
    for ours, pair in layers.items():
        needed = {"weight"} if ours.endswith("_prelu") else {"weight", "bias"}
        if set(pair) != needed:
            present = next(iter(pair.values()))
            raise UserError(f"{path}: tensor {present.name} stands alone: a weight and a bias were expected"
                            if len(needed) == 2 else
                            f"{path}: tensor {present.name} is not that of a PReLU, whose only one is a weight")
    return {ours: [_prelu(pair["weight"])] if ours.endswith("_prelu") else
            _ordered(kind, ours, [pair["weight"], pair["bias"]]) for ours, pair in layers.items()}


def renamed(rules, module):
    """Returns our name of a module by the first rule that fits it whole, or None.

    Args:
        rules: regular expression -> our name, in which {0}, {1}, ... are the expression's groups and {n} is the first
            one, a number, and 1.
        module: name in the file.
    """
    for expression, ours in rules.items():
        if match := re.fullmatch(expression, module):
            first = match[1] if match.groups() else ""
            return ours.format(*match.groups(), n=int(first) + 1 if first.isdecimal() else "")
    return None


def block_numbers(tensors, expression):
    """Returns the sorted numbers that the only group of an expression matches at the beginnings of names."""
    return sorted({int(match[1]) for name in tensors if (match := re.match(expression, name))})


def _prelu(tensor):
    array = tensor.array
    return tensor._replace(array=array.reshape(1, 1, -1) if array.ndim == 1 else array)


def shuffled_colours(kind, ours, kernel):
    """Returns how many channels a pixel shuffle leaves of what a layer of ours makes; 0 where none follows it."""
    if kind in FEATURE_SHUFFLES and ours.startswith("upsample"):
        return kernel.shape[2] if kernel.ndim == 4 else 1
    return 3 if ours in COLOUR_SHUFFLES.get(kind, ()) else 0


def _ordered(kind, ours, pair):
    """Reorders the channels of a [kernel, bias] that a pixel shuffle follows."""
    num_colours = shuffled_colours(kind, ours, pair[0].array)
    if not num_colours:
        return pair
    return [tensor._replace(array=shuffle_order(tensor.array, num_colours)) for tensor in pair]


def _to_keras(name, array):
    if array.ndim != 4:
        return Tensor(name, array)
    return Tensor(name, np.ascontiguousarray(array.transpose(2, 3, 1, 0)), PYTORCH_AXES)
