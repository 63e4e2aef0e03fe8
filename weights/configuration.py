"""What the configuration of a Keras 2 model says beyond its weights. Only its data are read, never its code."""

import math
from typing import NamedTuple

import numpy as np

from errors import UserError
from model.common import DIV2K_RGB_MEAN
from weights.networks import block_layers
from weights.plain_json import one_line, shown

CLASSES = {"InputLayer", "Lambda", "Conv2D", "WeightNormalization", "Conv2DWeightNorm", "Activation", "ReLU", "Add",
           "BatchNormalization", "PReLU"}
PLAIN_CONV = {"strides": [1, 1], "dilation_rate": [1, 1], "groups": 1, "data_format": "channels_last",
              "use_bias": True}
MAX_NODES = 5000
MAX_INPUTS = 20_000  # of all layers together
BN_EPSILON = 1e-3  # of Keras 2 and of Keras 3
ERRORS = (KeyError, TypeError, IndexError, AttributeError, ValueError, ArithmeticError)


class Node(NamedTuple):
    """A layer in a configuration: its class, its settings and the names of the layers it takes its input from."""

    kind: str
    config: dict
    inputs: list


class Graph:
    """The layers of a configuration and how they follow each other.

    Raises:
        UserError: `config` is not laid out as Keras 2 does, or has a layer that none of the networks has.
    """

    def __init__(self, path, config):
        self.path = path
        try:
            self.nodes = {entry["config"]["name"]: _node(entry) for entry in config["config"]["layers"]}
        except ERRORS as error:
            raise UserError(f"{path}: its configuration is not that of a functional Keras 2 model") from error
        if len(self.nodes) > MAX_NODES:
            raise UserError(f"{path}: its configuration has {len(self.nodes):,} layers: far more than such a network")
        if sum(len(node.inputs) for node in self.nodes.values()) > MAX_INPUTS:
            raise UserError(f"{path}: its configuration has more than {MAX_INPUTS:,} connections")
        self._followers = {name: [] for name in self.nodes}
        for name, node in self.nodes.items():
            if node.kind not in CLASSES:
                raise UserError(f"{path}: layer {name} is of the class {node.kind}, which none of the networks has")
            for source in set(node.inputs) & self._followers.keys():
                self._followers[source].append(name)

    def __getitem__(self, name):
        if name not in self.nodes:
            raise UserError(f"{self.path}: layer {name} has weights, but the configuration does not know it")
        return self.nodes[name]

    def after(self, name, *kinds):
        """Returns the names of the layers of certain classes that take the output of the layer `name`."""
        return [other for other in self._followers.get(name, []) if self.nodes[other].kind in kinds]

    def is_last(self, name):
        """Returns whether no layer takes the output of the layer `name`."""
        return not self._followers[name]


def read_settings(path, config, kind, names):
    """Reads what weights cannot say.

    Args:
        path: names the file in errors.
        config: parsed JSON of the model.
        kind: of the network, one of `model.NETWORKS`.
        names: the file's name of each of our layers.

    Returns:
        A dict with 'padding', 'tanh', and 'res_scaling' (1 without; None where it is there but cannot be read), and
        'scales_sum': whether that factor multiplies the sum behind the branch instead of the branch, as the suite of
        2018 did.

    Raises:
        UserError: names the layer that is not as in the network of that kind.
    """
    graph = Graph(path, config)
    try:
        _check_mean(graph, kind)
        for ours, name in names.items():
            _check_layer(graph, ours, name)
        settings = {"padding": _padding(graph, kind, names), "tanh": _tanh(graph, kind, names)}
        settings |= _residual_scaling(graph, kind, names)
        _check_operations(graph, kind, names, settings)
        return settings
    except ERRORS as error:
        raise UserError(f"{path}: its configuration cannot be read: {type(error).__name__}: "
                        f"{one_line(error)}") from error


def _node(entry):
    inputs = [link[0] for call in entry["inbound_nodes"] for link in call]
    config = entry["config"]
    if entry["class_name"] == "WeightNormalization":
        config = config["layer"]["config"]
    names = (entry["class_name"], entry["config"]["name"], *inputs)
    if not all(isinstance(name, str) and name.isprintable() for name in names):
        raise TypeError("a name is no text")
    return Node(entry["class_name"], dict(config), inputs)


def _check_mean(graph, kind):
    """Checks that the first lambda subtracts DIV2K's mean, where its closure says what it subtracts."""
    first = [name for name, node in graph.nodes.items() if node.kind == "InputLayer"]
    for name in graph.after(first[0], "Lambda"):
        captured = _captured(graph[name].config)
        if kind != "sr-resnet" and len(captured) == 3 and not np.allclose(captured, np.multiply(DIV2K_RGB_MEAN, 255)):
            raise UserError(f"{graph.path}: layer {name} subtracts {captured}, not the mean of DIV2K")


def _check_operations(graph, kind, names, settings):
    """Checks that each Lambda stands where the network has an operation, and that it has as many additions."""
    places = [name for name, node in graph.nodes.items() if node.kind == "InputLayer"]
    places += graph.after(places[0], "Lambda") if settings["padding"] == "symmetric" else []
    ends = ("tail", "skip") if kind.startswith("wdsr") else ("upsample_1", "upsample_2", "upsample_3")
    places += [names[ours] for ours in ends if ours in names]
    blocks = [name for ours, name in names.items() if _is_last_of_block(kind, ours)]
    places = {*places, *blocks, *(add for name in blocks for add in graph.after(name, "Add"))}
    for name, node in graph.nodes.items():
        if node.kind == "Lambda" and not graph.is_last(name) and not set(node.inputs) & places:
            raise UserError(f"{graph.path}: layer {name} is a Lambda where a network of the kind {kind} has none: its "
                            "code is not read, so that its effect is not known")
    num_blocks = len(blocks)
    additions = sum(node.kind == "Add" for node in graph.nodes.values())
    if additions != num_blocks + 1:
        raise UserError(f"{graph.path}: its configuration has {additions} additions: {num_blocks + 1} were expected")


def _check_layer(graph, ours, name):
    node = graph[name]
    if node.kind == "BatchNormalization" and not math.isclose(node.config["epsilon"], BN_EPSILON):
        raise UserError(f"{graph.path}: layer {name} has epsilon {shown(node.config['epsilon'])}: {BN_EPSILON} "
                        "was expected")
    if "kernel_size" not in node.config:
        return
    for key, expected in PLAIN_CONV.items():
        if (value := node.config.get(key, expected)) != expected:
            raise UserError(f"{graph.path}: layer {name} has {key} {shown(value)}: {expected} was expected")
    activation = _activation(graph, name)
    block_relu = ours.startswith("block_") and ours.split("_", 2)[2] in ("expand", "conv_1")
    allowed = ("relu", "PReLU", "linear") if block_relu else ("linear", "tanh") if ours == "tail" else ("linear",)
    if block_relu and not graph.after(name, "BatchNormalization"):
        allowed = ("relu",)
    if activation not in allowed and ours != "head" and not ours.startswith("upsample"):
        raise UserError(f"{graph.path}: layer {name} is followed by {shown(activation)}: {' or '.join(allowed)} "
                        "was expected")


def _activation(graph, name):
    own = graph[name].config.get("activation", "linear")
    following = graph.after(name, "Activation", "ReLU")
    if own != "linear" or not following:
        return own
    node = graph[following[0]]
    return "relu" if node.kind == "ReLU" else node.config["activation"]


def _padding(graph, kind, names):
    """Returns the padding of the outer convolutions as `model.wdsr` names it; all others must be 'same'."""
    outer = ("head", "tail", "skip") if kind.startswith("wdsr") else ()
    paddings = {ours: graph[name].config["padding"] for ours, name in names.items()
                if "kernel_size" in graph[name].config and max(graph[name].config["kernel_size"]) > 1}
    for ours, padding in paddings.items():
        expected = paddings["head"] if ours in outer else "same"
        if padding != expected or padding not in ("same", "valid"):
            raise UserError(f"{graph.path}: layer {names[ours]} has the padding {shown(padding)}: {shown(expected)} "
                            "was expected")
    return "symmetric" if outer and paddings["head"] == "valid" else "same"


def _tanh(graph, kind, names):
    tanh = _activation(graph, names["tail"]) == "tanh"
    if kind != "edsr" and tanh != (kind == "sr-resnet"):
        raise UserError(f"{graph.path}: layer {names['tail']} {'ends' if tanh else 'does not end'} in tanh, unlike "
                        f"a network of the kind {kind}")
    return tanh


def _residual_scaling(graph, kind, names):
    """Finds the lambdas behind the last convolution of each block, or behind its addition."""
    found = set()
    for name in (name for ours, name in names.items() if _is_last_of_block(kind, ours)):
        branch = graph.after(name, "Lambda")
        sums = [add for source in (name, *branch) for add in graph.after(source, "Add")]
        behind = [scaling for add in sums for scaling in graph.after(add, "Lambda")]
        if len(sums) != 1 or len(branch) + len(behind) > 1:
            raise UserError(f"{graph.path}: layer {name} is not followed by an addition as in the network {kind}")
        found.add((_factor(graph[(branch + behind)[0]].config) if branch or behind else 1, bool(behind)))
    if len(found) > 1:
        raise UserError(f"{graph.path}: its blocks differ in their residual scaling: {sorted(found, key=str)}")
    factor, scales_sum = found.pop() if found else (1, False)
    return {"res_scaling": factor, "scales_sum": scales_sum}


def _is_last_of_block(kind, ours):
    return ours.startswith("block_") and ours.split("_", 2)[2] == block_layers(kind)[-1]


def _factor(config):
    captured = _captured(config)
    return captured[0] if len(captured) == 1 and captured[0] > 0 else None


def _captured(config):
    """Returns the numbers that a Lambda's function holds as data: captured variables, defaults or arguments."""
    function = config.get("function")
    parts = [config.get("arguments"), *(function[1:3] if isinstance(function, list) else [])]
    numbers = []
    while parts and len(numbers) <= 3:  # a mean has three, a factor is one: more of them say nothing
        part = parts.pop()
        if isinstance(part, (dict, list)):
            parts += list(part.values() if isinstance(part, dict) else part)[::-1]
        elif isinstance(part, (int, float)) and not isinstance(part, bool) and math.isfinite(part):
            numbers.append(float(part))
    return numbers
