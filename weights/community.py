"""The networks of most public models from PyTorch: ESRGAN (RRDB), Compact (SRVGG), SPAN and MSRResNet."""

import re

import numpy as np

from errors import UserError
from model.common import DIV2K_RGB_MEAN
from weights.tensors import Source, Tensor, scaled, shuffle_order
from weights.torch_layers import block_numbers, named_layers, renamed

RRDB = {  # ESRGAN's code, the code of BSRGAN and RealSR, and Real-ESRGAN's
    "(?:model.0|conv_first)": "head",
    r"(?:model\.1\.sub|RRDB_trunk|body)\.(\d{1,4})\.(?:RDB|rdb)([123])\.conv([1-5])(?:\.0)?":
        "block_{n}_rdb_{1}_conv_{2}",
    r"(?:trunk_conv|conv_body|model\.1\.sub\.\d{1,4})": "body_end",
    r"(?:upconv|conv_up)([1-3])": "upsample_{0}",
    "(?:HRconv|conv_hr)": "tail_hr",
    "conv_last": "tail",
}
MSR_RESNET = {
    "conv_first": "head",
    r"(?:recon_trunk|body)\.(\d{1,4})\.conv([12])": "block_{n}_conv_{1}",
    r"upconv([12])": "upsample_{0}",
    "(?:HRconv|conv_hr)": "tail_hr",
    "conv_last": "tail",
}
SPAN = {
    "conv_1": "head",
    r"block_(\d{1,4})\.c([123])_r": "block_{0}_conv_{1}",
    "conv_2": "body_end",
    "conv_cat": "body_fusion",
    r"upsampler\.0": "tail",
}
BRANCHES = ("sk", "conv.0", "conv.1", "conv.2")  # of a convolution of SPAN while it is trained


def read_rrdb(path, tensors):
    """Reads ESRGAN's network in any of its three codes; see `architectures.read_pytorch`."""
    rules = dict(RRDB)
    last = block_numbers(tensors, r"model\.(\d{1,2})\.(?:weight|bias)$")[1:]  # of the oldest code, without the first
    if last:
        names = [*(f"upsample_{i}" for i in range(1, len(last) - 1)), "tail_hr", "tail"][-len(last):]
        rules |= {rf"model\.{number}": name for number, name in zip(last, names, strict=True)}
    layers = named_layers(path, "rrdb", tensors, lambda module: renamed(rules, module))
    if "head" in layers and layers["head"][0].array.ndim == 4:  # of pixels that were rearranged to channels
        kernel, bias = layers["head"]
        array = np.moveaxis(shuffle_order(np.moveaxis(kernel.array, 2, 3), 3), 3, 2)
        layers["head"] = [kernel._replace(array=array), bias]
    return Source("rrdb", layers, {}, ["names and normalization: ESRGAN in PyTorch"])


def read_msr_resnet(path, tensors):
    """Reads BasicSR's MSRResNet."""
    layers = named_layers(path, "msr-resnet", tensors, lambda module: renamed(MSR_RESNET, module))
    return Source("msr-resnet", layers, {}, ["names and normalization: BasicSR's MSRResNet"])


def read_srvgg(path, tensors):
    """Reads Real-ESRGAN's SRVGGNetCompact: convolutions and PReLUs by turns."""
    last = max(block_numbers(tensors, r"body\.(\d{1,4})\."))

    def rename(module):
        match = re.fullmatch(r"body\.(\d{1,4})", module)
        if match is None:
            return None
        number, is_prelu = divmod(int(match[1]), 2)
        if int(match[1]) == last:
            return "tail"
        layer = f"block_{number}" if number else "head"
        return f"{layer}_prelu" if is_prelu else f"{layer}_conv" if number else layer

    return Source("srvgg", named_layers(path, "srvgg", tensors, rename), {},
                  ["names and normalization: Real-ESRGAN's compact network in PyTorch"])


def read_span(path, tensors):
    """Reads SPAN, with the branches of its training or with the convolutions that replace them."""
    plain = _folded(path, {name: tensor for name, tensor in tensors.items() if name != "no_norm"})
    layers = named_layers(path, "span", plain, lambda module: renamed(SPAN, module))
    subtract_mean = "no_norm" not in tensors
    # Theirs is RGB in [0, 255] less its mean, or RGB in [0, 1]; ours is a 127.5th of RGB, and so is what comes out.
    if "head" in layers:
        layers["head"] = scaled(layers["head"], 127.5 if subtract_mean else 0.5)
    if "tail" in layers:
        kernel, bias = scaled(layers["tail"], 2, 2)
        if bias.array.size % 3 == 0:
            means = np.tile(2 * np.array(DIV2K_RGB_MEAN), bias.array.size // 3).reshape(bias.array.shape)
            bias = bias._replace(array=(bias.array - means).astype("float32"))
        layers["tail"] = [kernel, bias]
    return Source("span", layers, {}, ["names and normalization: SPAN in PyTorch"], {"subtract_mean": subtract_mean})


def _folded(path, tensors):
    """Returns tensors with one kernel and bias for each convolution of several branches; they are made anew from the
    branches where these are there."""
    modules = {name.rsplit(".eval_conv.", 1)[0] for name in tensors if ".eval_conv." in name}
    modules |= {name.rsplit(".sk.", 1)[0] for name in tensors if ".sk." in name}
    inside = tuple(f"{module}.{part}." for module in modules for part in (*BRANCHES, "eval_conv"))
    plain = {name: tensor for name, tensor in tensors.items() if not name.startswith(inside)}
    for module in sorted(modules):
        for role, tensor in _fold(path, module, tensors).items():
            plain[f"{module}.{role}"] = tensor
    return plain


def _fold(path, module, tensors):
    """Returns the kernel and the bias of sk(x) + conv.2(conv.1(conv.0(x))), of which conv.1 alone is 3 x 3.

    Zeros are put around x before conv.0, so that its bias counts at the borders as well.
    """
    names = [f"{module}.{part}.{role}" for part in BRANCHES for role in ("weight", "bias")]
    if f"{module}.sk.weight" not in tensors:
        return {role: tensors[name] for role in ("weight", "bias") if (name := f"{module}.eval_conv.{role}") in tensors}
    missing = [name for name in names if name not in tensors]
    if missing:
        raise UserError(f"{path}: there is no tensor {missing[0]}, as beside {module}.sk.weight")
    skip, skip_bias, first, first_bias, middle, middle_bias, last, last_bias = (
        tensors[name].array.astype("float64") for name in names)
    try:
        kernel = np.einsum("xyim,hwmn,xyno->hwio", first, middle, last)
        bias = (np.einsum("m,hwmn->n", first_bias, middle) + middle_bias) @ last[0, 0] + last_bias + skip_bias
        kernel[1:2, 1:2] += skip
    except (ValueError, IndexError) as error:
        raise UserError(f"{path}: tensor {module}.conv.1.weight and those beside it do not fit each other") from error
    kernel_tensor = tensors[f"{module}.conv.1.weight"]
    return {"weight": Tensor(kernel_tensor.name, kernel.astype("float32"), kernel_tensor.axes),
            "bias": Tensor(f"{module}.conv.1.bias", bias.astype("float32"))}
