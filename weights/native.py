"""Our own model files (.keras), and the transfer of weights between models."""

import zipfile
from pathlib import Path

import keras
import numpy as np

from choices import SCALES
from errors import UserError
from files import atomic_path

# What Keras, h5py and zipfile raise on files that are damaged, foreign, or refused by safe mode.
LOAD_ERRORS = (ValueError, TypeError, KeyError, AttributeError, ImportError, OSError, EOFError, zipfile.BadZipFile)


def save(model, path):
    """Writes an uncompiled copy of `model` to `path` (.keras), atomically."""
    with atomic_path(path) as temporary:
        model.save(temporary)


def load_native(path):
    """Loads a `.keras` file for inference, in safe mode.

    Raises:
        UserError: names the file and why it cannot be loaded.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such model file")
    if path.suffix != ".keras":
        raise UserError(f"{path}: not a .keras file, which is what train.py writes")
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except LOAD_ERRORS as error:
        cause = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"{path}: cannot be loaded as a Keras model: {cause}") from error
    model_scale(model, path)
    return model


def model_scale(model, path="the model"):
    """Returns the factor (2, 3 or 4) by which `model` enlarges images.

    Raises:
        UserError: `model` is not a super-resolution network; `path` names it in the message.
    """
    size = 16
    try:
        shape = model.compute_output_shape((1, size, size, 3))
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: does not take RGB images of any size: {str(error).splitlines()[0]}") from error
    scale = shape[1] // size if len(shape) == 4 and shape[1] else 0
    if tuple(shape) != (1, size * scale, size * scale, 3) or scale not in SCALES:
        raise UserError(f"{path}: is no super-resolution network: it turns 1 x {size} x {size} x 3 into "
                        f"{' x '.join(map(str, shape))}, not into an RGB image of 2, 3 or 4 times the size")
    return scale


def copy(source, target):
    """Copies the weights of each layer of `source` to the layer of the same name in `target`.

    Returns:
        Two lists of layer names of `target`: copied, and not copied (absent in `source`, or of other shapes).

    Raises:
        UserError: no layer fits.
    """
    weights = {layer.name: layer.get_weights() for layer in source.layers if layer.weights}
    copied, skipped = [], []
    for layer in target.layers:
        if not layer.weights:
            continue
        ours = weights.get(layer.name, [])
        if [np.shape(array) for array in ours] == [tuple(weight.shape) for weight in layer.weights]:
            layer.set_weights(ours)
            copied.append(layer.name)
        else:
            skipped.append(layer.name)
    if not copied:
        raise UserError(f"nothing can be copied from {source.name} to {target.name}: "
                        f"no layer has the same name and shape in both")
    return copied, skipped
