"""Other people's files: the reader by suffix, what the user says of them, and a network of ours."""

from pathlib import Path

from choices import FOREIGN_SUFFIXES
from errors import UserError
from weights.architectures import read_pytorch
from weights.hdf5 import read_hdf5
from weights.keras2 import read_keras2
from weights.keras3 import build_model, is_model, is_weights, read_weights
from weights.native import model_scale
from weights.networks import build, check_fit, describe, read_sizes

OPTIONS = {"padding": "--padding", "tanh": "--tanh", "res_scaling": "--res-scaling"}
DEFAULTS = {"padding": "same", "tanh": False, "res_scaling": 1}
APPLICABLE = {"wdsr-a": ("padding", "res_scaling"), "wdsr-b": ("padding", "res_scaling"),
              "edsr": ("tanh", "res_scaling")}  # to the other networks none applies


def load_foreign(path, padding=None, tanh=None, res_scaling=None):
    """Loads weights from PyTorch, or a Keras file, of any network that is known here; no code in it is run.

    Args:
        path: a .safetensors, .pt, .pth, .h5 or .hdf5 file.
        padding: 'same' or 'symmetric', of the outer convolutions of WDSR.
        tanh: whether EDSR ends in tanh.
        res_scaling: the factor on each residual branch of WDSR and EDSR.
            None, for each of the three: as the file says; where it does not, 'same', False and 1.

    Returns:
        An uncompiled float32 `keras.Model`, and a list of notes for the user: what was read and what was assumed.

    Raises:
        UserError: names the file and what cannot be read, is refused or does not fit.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    if path.suffix.lower() not in FOREIGN_SUFFIXES:
        raise UserError(f"{path}: is none of the files of weights that can be read: {', '.join(FOREIGN_SUFFIXES)}")
    given = {"padding": padding, "tanh": tanh, "res_scaling": res_scaling}
    given = {key: value for key, value in given.items() if value is not None}
    if path.suffix.lower() not in (".h5", ".hdf5"):
        return _network(path, read_pytorch(path), given)
    layers, config = read_hdf5(path)
    if config is None and layers and is_weights(layers):
        return _network(path, read_weights(path, layers), given)
    if not is_model(config):
        return _network(path, read_keras2(path, layers, config), given)
    for key in given:
        raise UserError(f"{path}: is a whole model, which says itself what {OPTIONS[key]} would")
    model = build_model(path, layers, config)
    return model, [f"{path}: a {model.name} x{model_scale(model, path)}, as Keras 3 saved it"]


def _network(path, source, given):
    """Returns the network of a `Source` and the notes; `given` are the settings that the user gives."""
    settings, assumed = _settings(path, source, given)
    sizes = read_sizes(path, source)
    check_fit(path, source, sizes)
    notes = [f"{path}: {describe(sizes)}", *source.notes]
    found = [f"{key.replace('_', ' ')} {source.settings[key]}" for key in APPLICABLE.get(source.kind, ())
             if key in source.settings]
    if found:
        notes.append("read from its configuration: " + ", ".join(found))
    if assumed:
        notes.append("assumed, since the file does not say it: " + ", ".join(assumed))
    try:
        return build(source, sizes, **settings), notes
    except RecursionError as error:
        raise UserError(f"{path}: has more blocks than Keras can put together: {sizes['num_res_blocks']}") from error


def _settings(path, source, given):
    """Returns the settings of the network, and the texts of those that are only assumed."""
    applicable = APPLICABLE.get(source.kind, ())
    for key in given:
        if key not in applicable:
            raise UserError(f"{path}: is a network of the kind {source.kind}, to which {OPTIONS[key]} does not apply")
    known = source.settings | given
    for key in applicable:
        if key in known and known[key] is None:
            raise UserError(f"{path}: its {key.replace('_', ' ')} cannot be read from the configuration: convert the "
                            f"file with {OPTIONS[key]}")
    texts = {"padding": "zero padding", "tanh": "no tanh at the end", "res_scaling": "residual scaling 1"}
    assumed = [f"{texts[key]} ({OPTIONS[key]})" for key in applicable if key not in known]
    return {key: known.get(key, default) for key, default in DEFAULTS.items()}, assumed
