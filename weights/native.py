"""Our own model files (.keras)."""

import io
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np

from choices import MODEL_SCALES
from errors import UserError
from files import atomic_path
from weights.archive import WEIGHTS, read_archive, read_folder
from weights.blueprint import read_blueprint
from weights.hdf5 import read_layers
from weights.plain_json import one_line, parse_json

# Of Keras and its backends. What comes so far is sound in all that is checked here; a network can still be too deep.
BUILD_ERRORS = (ValueError, TypeError, KeyError, AttributeError, RuntimeError)


def save(model, path):
    """Writes an uncompiled copy of `model` to `path` (.keras), atomically."""
    with atomic_path(path) as temporary:
        model.save(temporary)


def save_half(model, path):
    """Writes `model` as `save` does, with its weights in float16 and compressed: less than half the size.

    Keras and `load_native` load it as a float32 network.

    Raises:
        UserError: a weight is too large for float16.
    """
    if any(np.abs(array).max(initial=0) > np.finfo(np.float16).max for array in model.get_weights()):
        raise UserError(f"{path}: has weights that are too large for float16 (at most 65,504)")
    with atomic_path(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        parts[WEIGHTS] = _halved(parts[WEIGHTS])
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name, content in parts.items():
                archive.writestr(name, content)


def _halved(content):
    """Returns the bytes of an HDF5 file with the arrays of another in float16."""
    halved = io.BytesIO()
    with h5py.File(io.BytesIO(content)) as source, h5py.File(halved, "w") as target:

        def copy_item(name, item):
            if isinstance(item, h5py.Dataset):
                place = target.create_dataset(name, data=item[()].astype(np.float16))
            else:
                place = target.require_group(name)
            place.attrs.update(item.attrs)

        source.visititems(copy_item)
    return halved.getvalue()


def load_native(path):
    """Loads a `.keras` file for inference. It is read as data: nothing that it names is called.

    A folder that holds what is in such a file is loaded as well.

    Raises:
        UserError: names the file and why it cannot be loaded.
        OSError: it cannot be read.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: there is no such model file")
    if path.suffix != ".keras" and not path.is_dir():
        raise UserError(f"{path}: not a .keras file, which is what train.py writes")
    where = f"{path}: cannot be loaded as a Keras model"
    config, content = read_folder(path) if path.is_dir() else read_archive(path)
    blueprint = read_blueprint(path, parse_json(where, config))
    layers, _ = read_layers(f"{where}: {WEIGHTS}", content, "keras3")
    model = build_checked(where, blueprint, {name: [tensor.array for tensor in tensors.values()]
                                             for name, tensors in layers})
    model_scale(model, path)
    return model


def build_checked(where, blueprint, arrays):
    """Returns the network of a plan with its weights.

    Args:
        where: names the file in errors.
        blueprint: a `Blueprint`.
        arrays: the weights of each group of the plan, in order.

    Raises:
        UserError: the weights do not fit, or the network cannot be put together.
    """
    for part in blueprint.parts:
        _check_shapes(where, part, arrays.get(part.group, []))
    try:
        return _build(blueprint, arrays)
    except BUILD_ERRORS as error:
        raise UserError(f"{where}: {one_line(error)}") from error


def model_scale(model, path="the model"):
    """Returns the factor (1, 2, 3, 4 or 8) by which `model` enlarges images.

    Raises:
        UserError: `model` is not a super-resolution network; `path` names it in the message.
    """
    size = 16
    try:
        shape = model.compute_output_shape((1, size, size, 3))
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: does not take RGB images of any size: {str(error).splitlines()[0]}") from error
    scale = shape[1] // size if len(shape) == 4 and shape[1] else 0
    if tuple(shape) != (1, size * scale, size * scale, 3) or scale not in MODEL_SCALES:
        raise UserError(f"{path}: is no super-resolution network: it turns 1 x {size} x {size} x 3 into "
                        f"{' x '.join(map(str, shape))}, not into an RGB image of 1, 2, 3, 4 or 8 times the size")
    return scale


def _check_shapes(where, part, arrays):
    """Checks that the file holds the weights of a layer, before the layer makes variables of their size."""
    shapes = [array.shape for array in arrays]
    if part.group and shapes != part.shapes:
        raise UserError(f"{where}: its layer {part.name} needs weights of the shapes {_text(part.shapes)}, and the "
                        f"file has {_text(shapes[:9])}")


def _text(shapes):
    return ", ".join(map(str, shapes)) or "none"


def _build(blueprint, arrays):
    """Returns the network of a plan with its weights."""
    outputs = {blueprint.input: keras.Input((None, None, 3), dtype="float32", name=blueprint.input)}
    for part in blueprint.parts:
        inputs = [outputs[name] for name in part.sources]
        layer = part.row.build(**part.settings)
        outputs[part.name] = layer(inputs if part.row.merges else inputs[0])
        if part.group:
            layer.set_weights(arrays[part.group])
    return keras.Model(outputs[blueprint.input], outputs[part.name], name=blueprint.name)
