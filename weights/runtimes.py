"""Models for other runtimes: a file is run and compared with Keras before it has its name."""

import contextlib
import importlib
import io
import warnings
from pathlib import Path

import keras
import numpy as np

from errors import UserError
from weights.runtime_files import RUNTIMES, Export

OPSETS = (13, 18)  # of ONNX: from the first one that cuts and gathers as needed, to the last one that tf2onnx writes
OPSET = 17
# Grey levels of 255 by which the output may differ from Keras' own. Measured, with the networks of `NETWORKS` and those
# that are shipped: at most 0.0005 in float32, 0.8 with float16.
TOLERANCE, HALF_TOLERANCE = 0.02, 2.0
# Other photos reach further than the one that is tried: no feature of that may exceed this part of float16's range.
HALF_LIMIT = float(np.finfo(np.float16).max) / 4
SIZES = ((33, 21), (7, 5), (1, 1))  # of pieces of the photo that are tried beside the whole


def write_runtime(model, target, facts, photo, half=None, opset=OPSET):
    """Writes a network for another runtime, which the suffix of `target` names: see `RUNTIMES`.

    The file takes and returns batches (N, H, W, 3) of any size, float32, RGB in [0, 255].

    Args:
        model: a float32 `keras.Model` of images.
        target: .onnx, .xml (OpenVINO, with a .bin file beside it), .tflite, or a folder without a suffix (SavedModel).
        facts: dict from name to text that the file carries.
        photo: image (H, W, 3) in [0, 255], at least 33 x 33, on which the file is tried before it gets its name.
        half: the model in the policy mixed_float16; None for a file in float32.
        opset: of ONNX.

    Returns:
        A note for the user: the largest difference from the model's own output.

    Raises:
        UserError: the suffix, opset or Keras backend is not allowed, a package is missing, float16 is too small for
            the network, or the output is another.
    """
    target = Path(target)
    if target.suffix not in RUNTIMES:
        raise UserError(f"{target}: give a file that ends in {', '.join(filter(None, RUNTIMES))}, or a folder without "
                        "a suffix (SavedModel)")
    runtime = RUNTIMES[target.suffix]
    _check_possible(target, runtime, half, opset)
    batches = _batches(photo)
    if half is not None:
        _check_range(target, model, batches[0])
    with runtime.place(target) as temporary, _quietly():
        runtime.write(temporary, Export(model, half, facts, opset))
        tolerance = TOLERANCE if half is None else HALF_TOLERANCE
        difference = _compare(target, model, runtime.run(temporary), batches, tolerance)
    return (f"{runtime.name}: differs from Keras' output by at most {difference:.2g} of 255 levels, on a photo and at "
            f"{len(batches) - 1} odd sizes")


def _check_possible(target, runtime, half, opset):
    if not OPSETS[0] <= opset <= OPSETS[1]:
        raise UserError(f"opset {opset} is not possible: choose {OPSETS[0]} to {OPSETS[1]}")
    if half is not None and not runtime.has_half:
        raise UserError(f"{target}: {runtime.name} has no float16: choose another format, or float32")
    if keras.backend.backend() != "tensorflow":
        raise UserError(f"models are written for other runtimes by the TensorFlow backend, not by "
                        f"{keras.backend.backend()}: set KERAS_BACKEND=tensorflow")
    for name in runtime.modules:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UserError(f"{target}: {runtime.name} needs packages that are missing ({error}): "
                            "pip install -r requirements/export.txt") from error


@contextlib.contextmanager
def _quietly():
    """Hides what the libraries print and warn of."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _batches(photo):
    """Returns what is tried: the photo, and pieces of it in odd sizes, of which the first are two images at once."""
    pieces = [np.stack([photo[:height, :width], photo[-height:, -width:]]) for height, width in SIZES]
    return [np.asarray(batch, np.float32) for batch in (photo[None], pieces[0], *(piece[:1] for piece in pieces[1:]))]


def _check_range(target, model, batch):
    """Refuses a network whose features would not fit into float16: on a GPU they would become black pixels."""
    half = np.finfo(np.float16).max
    for layer in model.layers:
        if any(np.abs(array).max(initial=0) > half for array in layer.get_weights()):
            raise UserError(f"{target}: the layer {layer.name} has weights that are too large for float16 (at most "
                            f"{half:,.0f}): choose float32")
    # Maxima alone, computed as one graph: the features of all layers at once would take gigabytes.
    maxima = keras.Model(model.inputs[0], [keras.ops.max(keras.ops.abs(layer.output)) for layer in model.layers])
    for layer, largest in zip(model.layers, maxima.predict_on_batch(batch), strict=True):
        if not largest <= HALF_LIMIT:
            raise UserError(f"{target}: the features of the layer {layer.name} reach {float(largest):,.0f}, too much "
                            f"for float16, which ends at {half:,.0f}: choose float32")


def _compare(target, model, run, batches, tolerance):
    """Returns the largest difference of what a file computes from what Keras does.

    Raises:
        UserError: it is more than `tolerance`, or the output is no image.
    """
    worst = 0
    for batch in batches:
        exact, ours = np.asarray(model(batch, training=False)), run(batch)
        at = f"{target}: is not written: at {batch.shape[2]} x {batch.shape[1]} pixels its output"
        if ours.shape != exact.shape:
            raise UserError(f"{at} has the shape {ours.shape}, not {exact.shape}")
        if not np.isfinite(ours).all() or (exact.any() and not ours.any()):
            raise UserError(f"{at} is black or no number")
        worst = max(worst, float(np.abs(ours - exact).max()))
        if worst > tolerance:
            raise UserError(f"{at} differs by {worst:.3g} of 255 levels, and {tolerance:g} is allowed")
    return worst
