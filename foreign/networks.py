"""From named tensors to a network of ours: its sizes are read off the shapes, and every tensor must fit."""

from choices import SCALES
from errors import UserError
from model import edsr, sr_resnet, wdsr_a, wdsr_b

BLOCK_LAYERS = {  # the layers of a residual block that have weights
    "wdsr-a": ("expand", "conv"),
    "wdsr-b": ("expand", "reduce", "conv"),
    "edsr": ("conv_1", "conv_2"),
    "sr-resnet": ("conv_1", "bn_1", "prelu", "conv_2", "bn_2"),
}


def layer_shapes(kind, scale, num_filters, num_res_blocks, expansion):
    """Returns the shapes of the weights of each layer of a network, by name, from the input to the output."""
    f, out = num_filters, 3 * scale**2
    wide, low_rank = f * expansion, int(f * 0.8)  # 0.8: the linear low-rank convolution of WDSR's section 3.2
    block = {"wdsr-a": (_conv(3, f, wide), _conv(3, wide, f)),
             "wdsr-b": (_conv(1, f, wide), _conv(1, wide, low_rank), _conv(3, low_rank, f)),
             "edsr": (_conv(3, f, f), _conv(3, f, f)),
             "sr-resnet": (_conv(3, f, f), [(f,)] * 4, [(1, 1, f)], _conv(3, f, f), [(f,)] * 4)}[kind]
    shapes = {"head": _conv(9 if kind == "sr-resnet" else 3, 3, f)}
    if kind == "sr-resnet":
        shapes["head_prelu"] = [(1, 1, f)]
    for i in range(1, num_res_blocks + 1):
        shapes |= {f"block_{i}_{name}": shape for name, shape in zip(BLOCK_LAYERS[kind], block, strict=True)}
    if kind.startswith("wdsr"):
        return shapes | {"tail": _conv(3, f, out), "skip": _conv(5, 3, out)}
    shapes["body_end"] = _conv(3, f, f)
    if kind == "sr-resnet":
        shapes["body_end_bn"] = [(f,)] * 4
    for i, factor in enumerate((2, 2) if scale == 4 else (scale,), start=1):
        shapes[f"upsample_{i}"] = _conv(3, f, f * factor**2)
        if kind == "sr-resnet":
            shapes[f"upsample_{i}_prelu"] = [(1, 1, f)]
    return shapes | {"tail": _conv(9 if kind == "sr-resnet" else 3, f, 3)}


def read_sizes(path, source):
    """Returns the sizes of a source's network as the arguments of `layer_shapes`.

    Raises:
        UserError: a tensor that says them is missing or impossible.
    """
    layers = source.layers
    num_filters = _kernel(path, source, "head").array.shape[-1]
    expansion = 1
    if source.kind.startswith("wdsr") and "block_1_expand" in layers:
        kernel = _kernel(path, source, "block_1_expand")
        expansion, rest = divmod(kernel.array.shape[-1], max(num_filters, 1))
        if rest or not expansion:
            raise UserError(f"{path}: tensor {kernel.name} has {kernel.array.shape[-1]} filters, which is no multiple "
                            f"of the {num_filters} between the blocks")
    num_res_blocks = len({name.split("_")[1] for name in layers if name.startswith("block_")})
    return {"kind": source.kind, "scale": _scale(path, source, num_filters), "num_filters": num_filters,
            "num_res_blocks": num_res_blocks, "expansion": expansion}


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
    for name in source.layers:
        if name not in shapes:
            tensor = source.layers[name][0]
            raise UserError(f"{path}: tensor {tensor.name} of the shape {tensor.in_file(tensor.array.shape)} has no "
                            f"place in {describe(sizes)}")


def build(source, sizes, padding, tanh, res_scaling):
    """Builds the network and gives it the tensors of `source`, which must fit."""
    arguments = {"num_filters": sizes["num_filters"], "num_res_blocks": sizes["num_res_blocks"]}
    scaling = None if res_scaling == 1 else res_scaling
    if source.kind == "sr-resnet":
        model = sr_resnet(**arguments)
    elif source.kind == "edsr":
        model = edsr(sizes["scale"], **arguments, res_block_scaling=scaling, tanh_activation=tanh)
    else:
        builder = wdsr_a if source.kind == "wdsr-a" else wdsr_b
        model = builder(sizes["scale"], **arguments, res_block_expansion=sizes["expansion"],
                        res_block_scaling=scaling, padding=padding)
    for name, tensors in source.layers.items():
        model.get_layer(name).set_weights([tensor.array for tensor in tensors])
    return model


def describe(sizes):
    """Returns what a network is, such as 'a wdsr-b x4 of 8 blocks, 32 filters and expansion 6'."""
    blocks = "1 block" if sizes["num_res_blocks"] == 1 else f"{sizes['num_res_blocks']} blocks"
    article = "a" if sizes["kind"].startswith("wdsr") else "an"
    expansion = f" and expansion {sizes['expansion']}" if sizes["kind"].startswith("wdsr") else ""
    return (f"{article} {sizes['kind']} x{sizes['scale']} of {blocks}"
            f"{',' if expansion else ' and'} {sizes['num_filters']} filters{expansion}")


def _conv(size, num_inputs, num_filters):
    return [(size, size, num_inputs, num_filters), (num_filters,)]


def _kernel(path, source, name):
    tensor = source.layers.get(name, [None])[0]
    if tensor is None:
        raise UserError(f"{path}: there is no tensor for the layer {name} of a network of the kind {source.kind}")
    if tensor.array.ndim != 4 or 0 in tensor.array.shape:
        raise UserError(f"{path}: tensor {tensor.name} has the shape {tensor.array.shape}, where the kernel of a "
                        f"convolution with its 4 axes was expected")
    return tensor


def _scale(path, source, num_filters):
    if source.kind == "sr-resnet" or (source.kind == "edsr" and "upsample_2" in source.layers):
        return 4
    name, unit = ("upsample_1", num_filters) if source.kind == "edsr" else ("skip", 3)
    allowed = {unit * scale**2: scale for scale in (SCALES[:2] if source.kind == "edsr" else SCALES)}
    kernel = _kernel(path, source, name)
    if kernel.array.shape[-1] not in allowed:
        raise UserError(f"{path}: tensor {kernel.name} has {kernel.array.shape[-1]} filters, where a network of the "
                        f"kind {source.kind} has {', '.join(f'{n} (x{s})' for n, s in allowed.items())}")
    return allowed[kernel.array.shape[-1]]
