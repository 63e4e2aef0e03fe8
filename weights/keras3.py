"""Files of Keras 3 beside .keras: whole models (.h5), and weights alone (.weights.h5), of this suite's networks."""

import functools
import re

from errors import UserError
from model import NETWORKS
from weights.blueprint import read_blueprint
from weights.native import build_checked
from weights.networks import layer_shapes
from weights.tensors import Source


def is_model(config):
    """Whether a configuration is one of Keras 3; Keras 2 called the shape of its input `batch_input_shape`."""
    try:
        return "batch_shape" in config["config"]["layers"][0]["config"]
    except (TypeError, KeyError, IndexError):
        return False


def is_weights(layers):
    """Whether the layers of a file are those of .weights.h5, whose tensors have numbers as names."""
    return all(name.isdecimal() for _, tensors in layers for name in tensors)


def build_model(path, layers, config):
    """Returns the network of a whole model.

    Args:
        path: names the file in errors.
        layers, config: as `read_hdf5` returns them.

    Raises:
        UserError: the configuration has something else than the layers of a network, or the weights do not fit.
    """
    blueprint = read_blueprint(path, _as_in_keras_files(config))
    parts = [part._replace(group=part.group and part.name) for part in blueprint.parts]
    arrays = {name: [tensor.array for tensor in tensors.values()] for name, tensors in layers}
    return build_checked(path, blueprint._replace(parts=parts), arrays)


def read_weights(path, layers):
    """Returns the `Source` of weights alone, whose layers have the names of ours.

    Raises:
        UserError: the names are those of no network.
    """
    named = {name: list(tensors.values()) for name, tensors in layers}
    kind = kind_of(named)
    if kind is None:
        raise UserError(f"{path}: its layers ({', '.join(list(named)[:5])}, ...) are those of no network of this suite")
    return Source(kind, named, {"padding": "symmetric"} if kind.startswith("wdsr") else {},
                  ["names: those of this suite's networks"])


def kind_of(names):
    """Returns the kind of the network whose layers with weights have these names, or None."""
    return next((kind for kind in NETWORKS if _pattern_of(kind) == _pattern(names)), None)


@functools.cache
def _pattern_of(kind):
    return _pattern(layer_shapes(kind, 4, 5, 1))


def _pattern(names):
    """Returns the names of a network's layers, whatever its blocks and scale."""
    return {re.sub(r"^(block|upsample)_\d+", r"\1", name) for name in names}


def _as_in_keras_files(config):
    """Returns a configuration in which classes of ours are named as in a .keras file."""
    def renamed(entry):
        name = entry.get("class_name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or ">" not in name:
            return entry
        return {**entry, "class_name": name.split(">", 1)[1], "registered_name": name}

    layers = config["config"]["layers"]
    return {**config, "config": {**config["config"], "layers": list(map(renamed, layers))
                                 if isinstance(layers, list) else layers}}
