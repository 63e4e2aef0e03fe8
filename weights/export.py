"""Networks of ours for PyTorch: a .safetensors file under the names of the code that people have for each of them."""

import re

import keras
import numpy as np
from safetensors.numpy import save_file

from errors import UserError
from files import atomic_path
from model.common import DIV2K_RGB_MEAN
from weights.keras3 import kind_of
from weights.networks import build, check_fit, read_sizes
from weights.tensors import Source, Tensor, scaled
from weights.torch_layers import shuffled_colours

# Our layers' names as regular expressions, and theirs: {0} is the expression's first group, a number i, {n} is i - 1,
# {step} 2 i - 2, {even} 2 i, {odd} 2 i + 1; {count} is the number of blocks, and {last} twice that and 2 more.
OUTER = {"head": "conv_first", "tail_hr": "conv_hr", "tail": "conv_last"}
NAMES = {
    "edsr": {"head": "head.0", r"block_(\d+)_conv_1": "body.{n}.body.0", r"block_(\d+)_conv_2": "body.{n}.body.2",
             "body_end": "body.{count}", r"upsample_(\d)": "tail.0.{step}", "tail": "tail.1"},
    "wdsr-a": {r"block_(\d+)_expand": "body.{n}.body.0", r"block_(\d+)_conv": "body.{n}.body.2",
               "(head|tail|skip)": "{0}.0"},
    "wdsr-b": {r"block_(\d+)_expand": "body.{n}.body.0", r"block_(\d+)_reduce": "body.{n}.body.2",
               r"block_(\d+)_conv": "body.{n}.body.3", "(head|tail|skip)": "{0}.0"},
    "rrdb": {**OUTER, r"block_(\d+)_rdb_(\d)_conv_(\d)": "body.{n}.rdb{1}.conv{2}", "body_end": "conv_body",
             r"upsample_(\d)": "conv_up{0}"},
    "srvgg": {"head": "body.0", "head_prelu": "body.1", r"block_(\d+)_conv": "body.{even}",
              r"block_(\d+)_prelu": "body.{odd}", "tail": "body.{last}"},
    "span": {"head": "conv_1", r"block_(\d+)_conv_(\d)": "block_{0}.c{1}_r", "body_end": "conv_2",
             "body_fusion": "conv_cat", "tail": "upsampler.0"},
    "msr-resnet": {**OUTER, r"block_(\d+)_conv_(\d)": "body.{n}.conv{1}", r"upsample_(\d)": "upconv{0}"},
}
CODES = {"edsr": "EDSR-PyTorch", "wdsr-a": "wdsr_ntire2018", "wdsr-b": "wdsr_ntire2018",
         "rrdb": "Real-ESRGAN's RRDBNet", "srvgg": "Real-ESRGAN's SRVGGNetCompact", "span": "SPAN",
         "msr-resnet": "BasicSR's MSRResNet"}
MEAN = np.array(DIV2K_RGB_MEAN)


def write_pytorch(path, model, target):
    """Writes the weights of a network for PyTorch.

    Args:
        path: of the model, names it in errors.
        model: a `keras.Model`.
        target: .safetensors file to write.

    Returns:
        A list of notes for the user.

    Raises:
        UserError: the model is none of the networks that have a code in PyTorch.
    """
    source, sizes, notes = _source(path, model)
    state = {}
    for name, tensors in _for_their_range(source).items():
        state |= _tensors(source.kind, _their_name(source.kind, name, sizes), name, tensors)
    if source.kind == "edsr":
        for name, sign in (("sub_mean", -1), ("add_mean", 1)):
            state |= {f"{name}.weight": np.eye(3).reshape(3, 3, 1, 1), f"{name}.bias": sign * 255 * MEAN}
    if not source.sizes.get("subtract_mean", True):
        state["no_norm"] = np.zeros(1)
    with atomic_path(target) as temporary:
        save_file({name: np.ascontiguousarray(array, "float32") for name, array in state.items()}, temporary,
                  {"format": "pt"})
    return [f"{target}: names of {CODES[source.kind]}", *notes]


def _source(path, model):
    """Returns the `Source` of a network of ours, its sizes, and notes on what weights cannot say."""
    layers = {layer.name: [Tensor(f"{layer.name}/{i}", array) for i, array in enumerate(layer.get_weights())]
              for layer in model.layers if layer.weights}
    kind = kind_of(layers)
    if kind not in NAMES or _has(model, "tanh"):
        raise UserError(f"{path}: is no network that has a code in PyTorch: {', '.join(NAMES)} are written, those that "
                        "do not end in tanh")
    subtract_mean = kind != "span" or bool(np.any(model.get_layer("normalize").offset))
    source = Source(kind, layers, {}, [], {"subtract_mean": subtract_mean} if kind == "span" else {})
    sizes = read_sizes(path, source)
    check_fit(path, source, sizes)
    scaling = model.get_layer("block_1_scaling").scale if kind != "rrdb" and _has(model, "block_1_scaling") else 1
    padding = "symmetric" if _has(model, "symmetric_padding") else "same"
    _check_same(path, model, build(source, sizes, padding, False, scaling))
    notes = []
    if scaling != 1:
        notes.append(f"to be built there with a residual scaling of {scaling}")
    if padding == "symmetric":
        notes.append("near the borders the output differs: this model mirrors them, that code fills them with zeros")
    return source, sizes, notes


def _has(model, name):
    return any(layer.name == name for layer in model.layers)


def _check_same(path, model, rebuilt):
    """Checks that a network has nothing but what the names say."""
    described = [[(layer.name, type(layer).__name__) for layer in network.layers] for network in (model, rebuilt)]
    lr = np.random.default_rng(0).uniform(0, 255, (1, 8, 9, 3)).astype("float32")
    outputs = [keras.ops.convert_to_numpy(network(lr)) for network in (model, rebuilt)]
    if described[0] != described[1] or not np.allclose(*outputs, atol=1e-2):
        raise UserError(f"{path}: has other layers than the network of its kind: PyTorch's code would make another "
                        "output")


def _for_their_range(source):
    """Returns the layers for the range of RGB that the other code has: the reverse of what the readers do."""
    layers = dict(source.layers)
    if source.kind == "edsr":
        layers["head"] = scaled(layers["head"], 1 / 127.5)
        layers["tail"] = scaled(layers["tail"], 127.5, 127.5)
    elif source.kind == "span":
        layers["head"] = scaled(layers["head"], 1 / 127.5 if source.sizes["subtract_mean"] else 2)
        kernel, bias = scaled(layers["tail"], 0.5, 0.5)
        layers["tail"] = [kernel, bias._replace(array=bias.array + np.tile(MEAN, bias.array.size // 3))]
    return layers


def _their_name(kind, ours, sizes):
    for expression, theirs in NAMES[kind].items():
        if match := re.fullmatch(expression, ours):
            number = int(match[1]) if match.groups() and match[1].isdecimal() else 1
            count = sizes["num_res_blocks"]
            return theirs.format(*match.groups(), n=number - 1, count=count, last=2 * count + 2, step=2 * number - 2,
                                 even=2 * number, odd=2 * number + 1)
    raise KeyError(ours)


def _tensors(kind, module, ours, tensors):
    """Returns the tensors of one layer in PyTorch's layout and order of channels."""
    if len(tensors) == 1:  # PReLU
        return {f"{module}.weight": tensors[0].array.ravel()}
    kernel, bias = (tensor.array for tensor in tensors)
    num_colours = shuffled_colours(kind, ours, kernel)
    if num_colours:
        kernel, bias = (_their_order(array, num_colours) for array in (kernel, bias))
    if kind == "rrdb" and ours == "head":
        kernel = np.moveaxis(_their_order(np.moveaxis(kernel, 2, 3), 3), 3, 2)
    kernel = kernel.transpose(3, 2, 0, 1)
    plain = {f"{module}.weight": kernel, f"{module}.bias": bias}
    return _branches(module, kernel, bias) if kind == "span" and kernel.shape[2] == 3 and ours != "tail" else plain


def _their_order(array, num_colours):
    """Reverses `shuffle_order`."""
    blocks = array.reshape(*array.shape[:-1], -1, num_colours)
    return np.swapaxes(blocks, -1, -2).reshape(array.shape)


def _branches(module, kernel, bias):
    """Returns the three branches of a convolution of SPAN: the middle one is the kernel, the others let through."""
    filters, inputs = kernel.shape[:2]
    middle = np.zeros((2 * filters, 2 * inputs, 3, 3))
    middle[:filters, :inputs] = kernel
    parts = {"sk": (np.zeros((filters, inputs, 1, 1)), np.zeros(filters)),
             "conv.0": (np.eye(2 * inputs, inputs)[:, :, None, None], np.zeros(2 * inputs)),
             "conv.1": (middle, np.concatenate([bias, np.zeros(filters)])),
             "conv.2": (np.eye(filters, 2 * filters)[:, :, None, None], np.zeros(filters)),
             "eval_conv": (kernel, bias)}
    return {f"{module}.{part}.{role}": array for part, pair in parts.items()
            for role, array in zip(("weight", "bias"), pair, strict=True)}
