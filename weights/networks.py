"""From named tensors to a network of ours: its sizes are read off the shapes, and every tensor must fit."""

import functools

import numpy as np

from choices import MODEL_SCALES, SCALES
from errors import UserError
from model import build_network

MAX_FILTERS = 512  # between the blocks: twice those of the largest EDSR
MAX_EXPANDED = 8192  # filters inside a block
MAX_BLOCKS = 500
UNSHUFFLED = {3: 1, 12: 2, 48: 4}  # channels that RRDB takes: the factor by which pixels were rearranged


@functools.cache
def block_layers(kind):
    """Returns the names of the layers of a residual block that have weights, in their order, such as 'conv_1'."""
    network = build_network(kind, 4, num_filters=5, num_res_blocks=1)  # their names do not depend on its sizes
    return tuple(name.removeprefix("block_1_") for name in _weighted_layers(network) if name.startswith("block_1_"))


def num_blocks(names):
    """Returns the number of residual blocks among layers of these names."""
    return len({name.split("_")[1] for name in names if name.startswith("block_")})


def layer_shapes(kind, scale, num_filters, num_res_blocks, expansion=1, **others):
    """Returns the shapes of the weights of each layer, by name, as the network itself has them.

    A network of one block is built, since all blocks are alike. `others` are further arguments of its builder.
    """
    network = build_network(kind, scale, num_filters=num_filters, num_res_blocks=1, res_block_expansion=expansion,
                            **others)
    one_block = _weighted_layers(network)
    shapes = {}
    for name, layer_shapes in one_block.items():
        if not name.startswith("block_1_"):
            shapes[name] = layer_shapes
        elif name == f"block_1_{block_layers(kind)[0]}":
            shapes |= {f"block_{i}_{part}": one_block[f"block_1_{part}"] for i in range(1, num_res_blocks + 1)
                       for part in block_layers(kind)}
    return shapes


def read_sizes(path, source):
    """Returns the sizes of a source's network as the arguments of `layer_shapes`.

    Raises:
        UserError: a tensor that says them is missing or impossible.
    """
    num_colours, num_filters = _kernel(path, source, "head").array.shape[2:]
    if num_colours == 1:
        raise UserError(f"{path}: is a network for images of 1 colour, grey: networks for RGB are supported")
    num_res_blocks = num_blocks(source.layers)
    if num_res_blocks > MAX_BLOCKS:
        raise UserError(f"{path}: claims {num_res_blocks:,} blocks: far more than such a network has")
    if num_filters > MAX_FILTERS:
        raise UserError(f"{path}: claims {num_filters} filters: far more than such a network has")
    sizes = {"kind": source.kind, "num_filters": num_filters, "num_res_blocks": num_res_blocks, **source.sizes}
    if source.kind == "rrdb":
        return sizes | _rrdb_sizes(path, source)
    return sizes | {"scale": _scale(path, source, num_filters)} | _expansion(path, source, num_filters)


def _expansion(path, source, num_filters):
    if not source.kind.startswith("wdsr"):
        return {}
    if "block_1_expand" not in source.layers:
        return {"expansion": 1}
    kernel = _kernel(path, source, "block_1_expand")
    expansion, rest = divmod(kernel.array.shape[-1], max(num_filters, 1))
    if rest or not expansion:
        raise UserError(f"{path}: tensor {kernel.name} has {kernel.array.shape[-1]} filters, which is no multiple "
                        f"of the {num_filters} between the blocks")
    if num_filters * expansion > MAX_EXPANDED:
        raise UserError(f"{path}: claims {num_filters} filters and an expansion of {expansion}: far more than such a "
                        "network has")
    return {"expansion": expansion}


def _rrdb_sizes(path, source):
    """Returns scale, growth and unshuffling: the steps of enlargement less the rearrangement of pixels at the start."""
    kernel = _kernel(path, source, "head")
    unshuffle = UNSHUFFLED.get(kernel.array.shape[2])
    num_steps = sum(name.startswith("upsample_") for name in source.layers)
    if unshuffle is None:
        raise UserError(f"{path}: tensor {kernel.name} takes {kernel.array.shape[2]} channels: "
                        f"{', '.join(map(str, UNSHUFFLED))} were expected, of an RGB image")
    if num_steps > 5 or (scale := 2**num_steps // unshuffle) not in MODEL_SCALES:
        raise UserError(f"{path}: has {num_steps} steps of enlargement after pixels are rearranged {unshuffle} x "
                        f"{unshuffle}: only scales {', '.join(map(str, MODEL_SCALES))} are supported")
    growth = _kernel(path, source, "block_1_rdb_1_conv_1").array.shape[-1]
    if growth > MAX_FILTERS:
        raise UserError(f"{path}: claims a growth of {growth}: far more than such a network has")
    return {"scale": scale, "growth": growth, "unshuffle": unshuffle}


def check_fit(path, source, sizes):
    """Checks that the tensors of `source` are those of the network of these `sizes`, none missing and none left.

    Raises:
        UserError: names the first tensor that does not fit, its shape, and the shape that was expected.
    """
    shapes = layer_shapes(**sizes)
    for name, expected in shapes.items():
        if name not in source.layers:
            raise UserError(f"{path}: there is no tensor for the layer {name} of {describe(sizes)}: "
                            f"the shape {expected[0]} was expected")
        tensors = source.layers[name]
        for i, tensor in enumerate(tensors):
            shape = expected[min(i, len(expected) - 1)]
            if tensor.array.shape != shape or len(tensors) != len(expected):
                raise UserError(f"{path}: tensor {tensor.name} has the shape {tensor.in_file(tensor.array.shape)}, "
                                f"where {describe(sizes)} has {tensor.in_file(shape)} for {name}")
            if not np.isfinite(tensor.array).all():  # by a factor or a gain of the file
                raise UserError(f"{path}: tensor {tensor.name} becomes numbers that are not finite")
    for name in source.layers:
        if name not in shapes:
            tensor = source.layers[name][0]
            raise UserError(f"{path}: tensor {tensor.name} of the shape {tensor.in_file(tensor.array.shape)} has no "
                            f"place in {describe(sizes)}")


def build(source, sizes, padding, tanh, res_scaling):
    """Builds the network and gives it the tensors of `source`, which must fit."""
    others = {key: value for key, value in sizes.items() if key not in ("kind", "scale", "expansion")}
    kind = "edsr-gen" if source.kind == "edsr" and tanh else source.kind
    model = build_network(kind, sizes["scale"], res_block_expansion=sizes.get("expansion", 1), padding=padding,
                          res_block_scaling=None if res_scaling == 1 else res_scaling, **others)
    for name, tensors in source.layers.items():
        model.get_layer(name).set_weights([tensor.array for tensor in tensors])
    return model


def describe(sizes):
    """Returns what a network is, such as 'a wdsr-b x4 of 8 blocks, 32 filters and expansion 6'."""
    blocks = "1 block" if sizes["num_res_blocks"] == 1 else f"{sizes['num_res_blocks']} blocks"
    article = "a" if sizes["kind"].startswith(("wdsr", "span")) else "an"
    parts = [blocks, f"{sizes['num_filters']} filters",
             *(f"{key} {sizes[key]}" for key in ("expansion", "growth") if key in sizes)]
    return f"{article} {sizes['kind']} x{sizes['scale']} of {', '.join(parts[:-1])} and {parts[-1]}"


def _weighted_layers(network):
    """Returns the shapes of the weights of each layer that has some, by its name."""
    return {layer.name: [tuple(weight.shape) for weight in layer.weights] for layer in network.layers if layer.weights}


def _kernel(path, source, name):
    tensor = source.layers.get(name, [None])[0]
    if tensor is None:
        raise UserError(f"{path}: there is no tensor for the layer {name} of a network of the kind {source.kind}")
    if tensor.array.ndim != 4 or 0 in tensor.array.shape:
        raise UserError(f"{path}: tensor {tensor.name} has the shape {tensor.array.shape}, where the kernel of a "
                        f"convolution with its 4 axes was expected")
    return tensor


def _scale(path, source, num_filters):
    if source.kind == "sr-resnet":
        return 4
    if source.kind in ("edsr", "msr-resnet") and "upsample_2" in source.layers:
        return 8 if "upsample_3" in source.layers else 4
    by_features = source.kind in ("edsr", "msr-resnet")
    name = "upsample_1" if by_features else "skip" if source.kind.startswith("wdsr") else "tail"
    scales = (2, 3) if by_features else SCALES if source.kind.startswith("wdsr") else MODEL_SCALES
    allowed = {(num_filters if by_features else 3) * scale**2: scale for scale in scales}
    kernel = _kernel(path, source, name)
    if kernel.array.shape[-1] not in allowed:
        raise UserError(f"{path}: tensor {kernel.name} has {kernel.array.shape[-1]} filters, where a network of the "
                        f"kind {source.kind} has {', '.join(f'{n} (x{s})' for n, s in allowed.items())}")
    return allowed[kernel.array.shape[-1]]
