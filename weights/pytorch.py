"""PyTorch's EDSR and WDSR: names, channel orders and normalizations become ours."""

import re

import numpy as np

from errors import UserError
from model.common import DIV2K_RGB_MEAN
from weights.tensors import Source, scaled
from weights.torch_layers import block_numbers, named_layers, renamed

BLOCKS = {"edsr": {"0": "conv_1", "2": "conv_2"}, "wdsr-a": {"0": "expand", "2": "conv"},
          "wdsr-b": {"0": "expand", "2": "reduce", "3": "conv"}}
EDSR_TAIL = {"head.0": "head", "tail.0.0": "upsample_1", "tail.0.2": "upsample_2", "tail.0.4": "upsample_3",
             "tail.1": "tail"}
MEAN = np.array(DIV2K_RGB_MEAN)
YCHFAN_MEAN = 0.5  # subtracted from RGB in [0, 1] by that code, whatever the colour


def read_wdsr(path, tensors):
    """Reads the official PyTorch WDSR, or the later one on RGB in [0, 1]; see `architectures.read_pytorch`."""
    block_b = any(re.fullmatch(r"body\.\d{1,4}\.body\.3\.weight", name) for name in tensors)
    kind = "wdsr-b" if block_b else "wdsr-a"
    if "head.0.weight" in tensors:
        layers = _layers(path, kind, tensors, {"head.0": "head", "tail.0": "tail", "skip.0": "skip"})
        return _source(kind, layers, ["names and normalization: the official PyTorch WDSR"])
    return _wdsr_01(path, kind, tensors)


def read_basicsr_edsr(path, tensors):
    """Reads BasicSR's EDSR, which is the official one under other names."""
    count = len(block_numbers(tensors, r"body\.(\d{1,4})\.conv1\."))
    rules = {"conv_first": "head.0", r"body\.(\d{1,4})\.conv1": "body.{0}.body.0",
             r"body\.(\d{1,4})\.conv2": "body.{0}.body.2", "conv_after_body": f"body.{count}",
             r"upsample\.(\d)": "tail.0.{0}", "conv_last": "tail.1"}
    official = {}
    for name, tensor in tensors.items():
        module, _, role = name.rpartition(".")
        official[f"{renamed(rules, module) or module}.{role}"] = tensor
    source = read_edsr(path, official)
    return source._replace(notes=["names and normalization: BasicSR's EDSR"])


def read_edsr(path, tensors):
    """Reads the official PyTorch EDSR."""
    notes = ["names and normalization: the official PyTorch EDSR"]
    shifts = {name: tensors.pop(name, None) for name in
              ("sub_mean.weight", "sub_mean.bias", "add_mean.weight", "add_mean.bias")}
    rgb_range = 255
    if all(tensor is None for tensor in shifts.values()):
        notes.append("assumed, since the file has no sub_mean: RGB in [0, 255] with the mean of DIV2K subtracted")
    else:
        rgb_range = _rgb_range(path, shifts)
    layers = _layers(path, "edsr", tensors, EDSR_TAIL)
    unit = 127.5 * rgb_range / 255  # theirs is RGB - mean in [0, rgb_range], ours a 127.5th of that in [0, 255]
    if "head" in layers:
        layers["head"] = scaled(layers["head"], unit)
    if "tail" in layers:
        layers["tail"] = scaled(layers["tail"], 1 / unit, 1 / unit)
    return _source("edsr", layers, notes)


def _rgb_range(path, shifts):
    """Returns 255 or 1: the range of RGB whose mean the file subtracts and adds."""
    for name, tensor in shifts.items():
        if tensor is None:
            raise UserError(f"{path}: there is no tensor {name}")
    for rgb_range in (255, 1):
        mean = MEAN * rgb_range
        expected = (np.eye(3).reshape(1, 1, 3, 3), -mean, np.eye(3).reshape(1, 1, 3, 3), mean)
        if all(tensor.array.shape == array.shape and np.allclose(tensor.array, array, rtol=1e-4, atol=1e-6)
               for tensor, array in zip(shifts.values(), expected, strict=True)):
            return rgb_range
    bias = shifts["sub_mean.bias"]
    raise UserError(f"{path}: tensor {bias.name} of the shape {bias.array.shape} and those beside it subtract and add "
                    f"{(-bias.array).ravel()[:3].tolist()}: the mean of DIV2K was expected, {(MEAN * 255).tolist()} or "
                    f"{MEAN.tolist()}, with a weight of 1")


def _wdsr_01(path, kind, tensors):
    """Folds (x / 255 - 0.5) in and (y + 0.5) 255 out into kernels and biases of ours, (x - mean) / 127.5."""
    numbers = sorted(int(match[1]) for name in tensors if (match := re.fullmatch(r"body\.(\d{1,4})\.weight", name)))
    if len(numbers) != 2 or numbers[0] != 0:
        raise UserError(f"{path}: tensor {next(iter(tensors))}: the convolutions body.0 and body.N were expected "
                        "around the blocks of a PyTorch WDSR")
    layers = _layers(path, kind, tensors, {"body.0": "head", f"body.{numbers[1]}": "tail", "skip.0": "skip"},
                     first_block=1)
    for name in ("head", "skip"):  # theirs = 0.5 ours + shift
        kernel, bias = layers[name]
        if kernel.array.ndim == 4 and kernel.array.shape[2] == 3 and bias.array.shape == kernel.array.shape[-1:]:
            shift = np.einsum("hwio,i->o", kernel.array.astype("float64"), MEAN - YCHFAN_MEAN)
            shifted = bias._replace(array=(bias.array + shift).astype("float32"))
            layers[name] = scaled([kernel, shifted], 0.5)
    for name in ("tail", "skip"):  # ours = 2 theirs + 1 - 2 mean
        layers[name] = scaled(layers[name], 2, 2)
    kernel, bias = layers["tail"]
    if bias.array.size % 3 == 0:
        colours = np.tile(2 * (YCHFAN_MEAN - MEAN), bias.array.size // 3).reshape(bias.array.shape)
        layers["tail"] = [kernel, bias._replace(array=(bias.array + colours).astype("float32"))]
    return _source(kind, layers, [
        "names and normalization: the later PyTorch WDSR, RGB in [0, 1] with 0.5 subtracted",
        "near the borders the output is not exactly theirs: their zero padding is grey, ours is DIV2K's mean"])


def _layers(path, kind, tensors, outer, first_block=0):
    """Renames `tensors`, and orders the channels before each pixel shuffle as ours."""
    numbers = block_numbers(tensors, r"body\.(\d{1,4})\.body\.")
    if kind == "edsr":
        outer = outer | {f"body.{max(numbers, default=-1) + 1}": "body_end"}

    def rename(module):
        if match := re.fullmatch(r"body\.(\d{1,4})\.body\.(\d)", module):
            part = BLOCKS[kind].get(match[2])
            return part and f"block_{int(match[1]) + 1 - first_block}_{part}"
        return outer.get(module)

    return named_layers(path, kind, tensors, rename)


def _source(kind, layers, notes):
    return Source(kind, layers, {}, notes)
