"""Keras 2 files of this suite's networks: their layers are recognised by order and shape, not by name."""

import math

from errors import UserError
from weights.configuration import read_settings
from weights.networks import block_layers
from weights.tensors import Source, Tensor, fold_weight_norm, scaled

ROLES = (("kernel", "bias"), ("alpha",), ("gamma", "beta", "moving_mean", "moving_variance"))
GAINS, DIRECTIONS = ("g", "wn_g"), ("v", "kernel")  # names that weight normalization wrappers use
SMALLEST_FACTOR = 1e-30  # float32 holds no less with all its digits


def read_keras2(path, read_layers, config):
    """Reads the networks that this suite's authors saved with Keras 2, of weights only or whole.

    Args:
        path: names the file in errors.
        read_layers, config: as `read_hdf5` returns them.

    Raises:
        UserError: names the file and the first tensor or layer that does not fit.
    """
    normalized = any(set(tensors) & set(GAINS) for _, tensors in read_layers)
    entries = [(name, _weights(path, name, tensors)) for name, tensors in read_layers]
    if not entries:
        raise UserError(f"{path}: holds no weights")
    kind = _kind(entries)
    named = _named(path, kind, entries)
    source = Source(kind, {ours: tensors for ours, (_, tensors) in named.items()}, {}, [])
    if normalized:
        source.notes.append("weight normalization is folded into the kernels")
    if config is None:
        return source
    settings = read_settings(path, config, kind, {ours: name for ours, (name, _) in named.items()})
    scales_sum = settings.pop("scales_sum")
    source.settings.update(settings)
    source.notes.append("the code of its Lambda layers is not read: they are taken as this suite's own")
    return fold_scaled_sums(path, source) if scales_sum else source


def fold_scaled_sums(path, source):
    """Turns blocks s (x + f(x)) into blocks x + f(x), by folding the factor s into the kernels.

    The features behind block i are kept divided by s^i, and the convolution behind the last block multiplies them.
    """
    factor = source.settings["res_scaling"]
    count = len({name.split("_")[1] for name in source.layers if name.startswith("block_")})
    if factor is None or abs(count * math.log(factor)) > -math.log(SMALLEST_FACTOR):
        raise UserError(f"{path}: the factor {factor} on the sums of its {count} blocks cannot be read or kept")
    layers = dict(source.layers)
    first, last = block_layers(source.kind)[0], block_layers(source.kind)[-1]
    for i in range(1, count + 1):
        so_far = factor**(i - 1)
        layers[f"block_{i}_{first}"] = scaled(layers[f"block_{i}_{first}"], so_far)
        layers[f"block_{i}_{last}"] = scaled(layers[f"block_{i}_{last}"], 1 / so_far, 1 / so_far)
    end = "body_end" if "body_end" in layers else "tail"
    layers[end] = scaled(layers[end], factor**count)
    note = f"its factor {factor} on the sum behind each block is folded into the kernels"
    return Source(source.kind, layers, source.settings | {"res_scaling": 1}, [*source.notes, note])


def _weights(path, name, tensors):
    """Returns the tensors of one layer in the order in which ours has them, weight normalization folded."""
    gain = next((tensors[key] for key in GAINS if key in tensors), None)
    direction = next((tensors[key] for key in DIRECTIONS if key in tensors), None)
    if gain is not None and direction is not None:
        if direction.array.ndim != 4 or gain.array.size != direction.array.shape[-1]:
            raise UserError(f"{path}: tensor {gain.name} has the shape {gain.array.shape}, which does not fit "
                            f"the shape {direction.array.shape} of {direction.name}")
        kernel = Tensor(direction.name, fold_weight_norm(direction.array, gain.array))
        tensors = {"kernel": kernel} | {key: value for key, value in tensors.items()
                                        if key not in GAINS + DIRECTIONS}
    for role in ROLES:
        if set(tensors) == set(role):
            return [tensors[key] for key in role]
    first = next(iter(tensors.values()))
    raise UserError(f"{path}: tensor {first.name} of the shape {first.array.shape}: its layer {name} holds "
                    f"{', '.join(tensors)}, which is neither a convolution with bias, PReLU nor batch normalization")


def _kind(entries):
    shapes = [tensors[0].array.shape for _, tensors in entries if tensors[0].array.ndim == 4]
    if any(len(tensors) != 2 for _, tensors in entries):
        return "sr-resnet"
    if any(shape[:3] == (5, 5, 3) for shape in shapes):
        return "wdsr-b" if any(shape[:2] == (1, 1) for shape in shapes) else "wdsr-a"
    return "edsr"


def _named(path, kind, entries):
    """Returns name of our layer -> (name of the file's layer, tensors); the file's order says which is which."""
    skips = [entry for entry in entries if kind.startswith("wdsr") and entry[1][0].array.shape[:3] == (5, 5, 3)]
    rest = [entry for entry in entries if not any(entry is skip for skip in skips[:1])]
    start, end = ["head"], ["tail"]
    if kind == "sr-resnet":
        start += ["head_prelu"]
        end = ["body_end", "body_end_bn", "upsample_1", "upsample_1_prelu", "upsample_2", "upsample_2_prelu", "tail"]
    elif kind == "edsr":  # head, two layers a block, body_end, one to three upsamplings, tail
        count = max(1, sum(tensors[0].array.ndim == 4 and tensors[0].array.shape[3] == 4 * tensors[0].array.shape[2]
                           for _, tensors in rest[1:]))
        end = ["body_end", *(f"upsample_{i}" for i in range(1, count + 1)), "tail"]
    block = block_layers(kind)
    num_res_blocks = max(0, -((len(start) + len(end) - len(rest)) // len(block)))
    names = [*start, *(f"block_{i}_{name}" for i in range(1, num_res_blocks + 1) for name in block), *end]
    if len(names) != len(rest):
        names = _diagnosed(names, len(rest))
    named = dict(zip(names, rest, strict=True))
    return named | ({"skip": skips[0]} if skips else {})


def _diagnosed(names, count):
    """Returns `count` names for a file whose number of layers fits no network, so that the first misfit is named."""
    return [*names[:count], *(f"surplus_{i}" for i in range(len(names), count))]
