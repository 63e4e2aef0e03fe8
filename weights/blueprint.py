"""The configuration in a .keras file, which is data from anybody, as a checked plan of a network.

Keras' own loader calls what a file names. It is not used: a plan holds classes and settings that
`weights.layer_classes` allows, and nothing else of the file.
"""

import re
from collections import Counter
from typing import NamedTuple

from choices import MODEL_SCALES
from errors import UserError
from weights.layer_classes import CLASSES, Features, LayerClass, is_initializer, policy_name
from weights.plain_json import shown

MAX_LAYERS = 2000  # a network of 300 blocks
NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.>-]{0,99}")  # TensorFlow allows no other
IMAGE = [None, None, None, 3]


class Part(NamedTuple):
    """A layer of a plan.

    Attributes:
        name: of the layer.
        row: of `CLASSES`.
        settings: arguments of `row.build`, with the name and the dtype.
        sources: names of the layers whose output it takes.
        group: name of its weights in the file; None where it has none.
        shapes: of its weights.
    """

    name: str
    row: LayerClass
    settings: dict
    sources: list
    group: str | None
    shapes: list


class Blueprint(NamedTuple):
    """A plan: the network's name, that of its input, and its layers in order, the last of which is the output."""

    name: str
    input: str
    parts: list


class Fault(Exception):
    """What is wrong with a configuration, without the file's name."""


def read_blueprint(path, config):
    """Checks a configuration.

    Args:
        path: names the file in errors.
        config: parsed JSON of a .keras file.

    Raises:
        UserError: the configuration has something else than the layers of such a network, or the network is none that
            enlarges images.
    """
    kind = config.get("class_name") if isinstance(config, dict) else None
    if kind == "Sequential":
        raise UserError(f"{path}: is no super-resolution network: it is a Sequential model, which none of them is")
    try:
        if kind != "Functional" or config.get("registered_name") not in (None, "Functional"):
            raise Fault(f"it is of the class {shown(kind)}: Functional was expected")
        return _Reader(config.get("config")).blueprint(path)
    except Fault as error:
        raise UserError(f"{path}: cannot be loaded as a Keras model: {error}") from error


class _Reader:
    """A plan while it is made, layer by layer in the file's order."""

    def __init__(self, config):
        self.config = config if isinstance(config, dict) else {}
        self.parts, self.features = [], {}
        self.used, self.groups = Counter(), Counter()

    def blueprint(self, path):
        """Reads all layers."""
        entries = self.config.get("layers")
        if not isinstance(entries, list) or not 1 < len(entries) <= MAX_LAYERS:
            raise Fault(f"its configuration has no layers, or more than {MAX_LAYERS:,}")
        for entry in entries:
            self._add(entry)
        first, last = next(iter(self.features)), self.parts[-1].name
        for key, name in (("input_layers", first), ("output_layers", last)):
            if (end := self._end(key)) != name:
                raise Fault(f"its {key.replace('_', ' ')} are {end}: {name} was expected")
        for name in self.features:
            if name != last and not self.used[name]:
                raise Fault(f"the output of its layer {name} is not used")
        _check_result(path, self.features[last])
        name = self.config.get("name")
        return Blueprint(name if _is_name(name) else "model", first, self.parts)

    def _add(self, entry):
        if not isinstance(entry, dict) or not isinstance(entry.get("config"), dict):
            raise Fault("one of its layers is not described as Keras does")
        name, kind = entry["config"].get("name"), entry.get("class_name")
        if not _is_name(name) or entry.get("name", name) != name:
            raise Fault(f"the name of its layer {shown(name)} is not allowed")
        if name in self.features:
            raise Fault(f"it has more than one layer {name}")
        if not self.features:
            self.features[name] = _read_input(name, entry)
            return
        if kind == "InputLayer":
            raise Fault(f"its layer {name} is a second input")
        if not isinstance(kind, str) or kind not in CLASSES:
            raise Fault(f"its layer {name} is of the class {shown(kind)}, which is not loaded: none of the networks "
                        "has it, and it may run code")
        row = CLASSES[kind]
        registered = (f"{row.package}>{kind}",) if row.package else (None, kind)
        if entry.get("registered_name") not in registered:
            raise Fault(f"its layer {name} is of the class {shown(entry.get('registered_name'))}, not {registered[-1]}")
        self._add_part(name, row, entry)

    def _add_part(self, name, row, entry):
        settings = _read_settings(name, row, entry["config"])
        sources = _read_sources(name, row, entry.get("inbound_nodes"))
        for source in sources:
            if source not in self.features:
                raise Fault(f"its layer {name} takes the output of {shown(source)}, which does not stand before it")
        self.used.update(sources)
        inputs = [self.features[source] for source in sources]
        try:
            self.features[name] = row.result(settings, inputs)
        except ValueError as error:
            raise Fault(f"its layer {name} {error}") from error
        if min(self.features[name].margin) < 0:
            raise Fault(f"is no super-resolution network: its layer {name} takes pixels away at the borders")
        number = self.groups[row.group]
        self.groups[row.group] += 1
        self.parts.append(Part(
            name, row, settings | _read_common(name, entry["config"]), sources,
            f"{row.group}_{number}" if row.group and number else row.group, row.weights(settings, inputs[0].channels)))

    def _end(self, key):
        """Returns the name of the network's only input or output."""
        ends = self.config.get(key)
        if isinstance(ends, list) and len(ends) == 1:
            ends = ends[0]
        if not _is_first_output(ends):
            raise Fault(f"its {key.replace('_', ' ')} are {shown(ends)}: one was expected")
        return shown(ends[0])


def _read_input(name, entry):
    shape, dtype = entry["config"].get("batch_shape"), entry["config"].get("dtype")
    if entry.get("class_name") != "InputLayer" or entry.get("inbound_nodes"):
        raise Fault(f"its first layer {name} is not its input")
    if shape != IMAGE or dtype != "float32":
        raise Fault(f"does not take RGB images of any size: its input {name} has the shape {shown(shape)} and the "
                    f"dtype {shown(dtype)}")
    return Features(3, 1, (0, 0))


def _read_settings(name, row, config):
    """Returns the checked settings of a layer's class."""
    settings = {}
    for key, check in row.settings.items():
        if key not in config or not check.allows(config[key]):
            value = shown(config[key]) if key in config else "missing"
            raise Fault(f"its layer {name} has the {key} {value}: {check.text} was expected")
        settings[key] = config[key]
    for key, value in config.items():
        if key in settings or key in ("name", "dtype", "trainable", *row.unused) or value is None or value is False:
            continue
        if not (key.endswith("_initializer") and is_initializer(value)):
            raise Fault(f"its layer {name} has the {shown(key)} {shown(value)}, which is not allowed")
    return settings


def _read_common(name, config):
    """Returns the settings that all layers have."""
    policy, trainable = policy_name(config.get("dtype")), config.get("trainable", True)
    if policy is None or not isinstance(trainable, bool):
        raise Fault(f"its layer {name} has the dtype {shown(config.get('dtype'))}, which none of the networks has")
    return {"name": name, "dtype": policy, "trainable": trainable}


def _read_sources(name, row, nodes):
    """Returns the names of the layers that a layer takes its input from."""
    fault = Fault(f"its layer {name} is not connected as those of such networks: once, to layers before it")
    if not isinstance(nodes, list) or len(nodes) != 1 or not isinstance(nodes[0], dict):
        raise fault
    args, kwargs = nodes[0].get("args"), nodes[0].get("kwargs")
    if not isinstance(args, list) or len(args) != 1 or not isinstance(kwargs, dict) or any(kwargs.values()):
        raise fault
    tensors = args[0] if row.merges else args
    if not isinstance(tensors, list) or not tensors:
        raise fault
    histories = []
    for tensor in tensors:
        config = tensor.get("config") if isinstance(tensor, dict) else None
        if not isinstance(config, dict) or tensor.get("class_name") != "__keras_tensor__":
            raise fault
        histories.append(config.get("keras_history"))
    if not all(map(_is_first_output, histories)):
        raise fault
    return [history[0] for history in histories]


def _check_result(path, features):
    if features.channels != 3 or features.resolution not in MODEL_SCALES or any(features.margin):
        raise UserError(f"{path}: is no super-resolution network: it makes {features.channels} channels, "
                        f"{features.resolution:g} times the size and {max(features.margin)} pixels more, not an RGB "
                        "image of 1, 2, 3, 4 or 8 times the size")
    if features.multiple > 1:
        raise UserError(f"{path}: is no super-resolution network: its output is not cropped to the size of the image")


def _is_name(value):
    return isinstance(value, str) and NAME.fullmatch(value) is not None


def _is_first_output(history):
    return isinstance(history, list) and len(history) == 3 and repr(history[1:]) == "[0, 0]" and _is_name(history[0])
