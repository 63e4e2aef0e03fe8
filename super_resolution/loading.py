"""Loads a model by its name or file, ready to enlarge images."""

from pathlib import Path

import pretrained
import weights
from choices import FOREIGN_SUFFIXES, INFERENCE_PRECISIONS
from errors import UserError
from imaging.formats import format_by_suffix
from super_resolution.engines import choose_engine
from super_resolution.precision import in_precision
from super_resolution.resolver import SuperResolver
from super_resolution.tiles import default_memory
from weights.hub import HUB, fetch

DEFAULT_SCALE = 4


def load(model=None, scale=None, *, tile_size=None, precision="float32", self_ensemble=False, engine="auto"):
    """Loads a model once, to enlarge any number of images: `load().enlarge(image)`.

    Args:
        model: a .keras file, other people's weights (.safetensors, .pt, .pth, .h5, .hdf5), the name of a shipped
            model, an address such as hf://NAME/MODEL, or None: the shipped model for `scale`.
        scale: 1, 2, 3, 4 or 8; None: what `model` has, without a model 4.
        tile_size: of the tiles, in LR pixels; None: what fits in memory well.
        precision: 'float32'; or 'bfloat16' or 'float16': faster on CPUs and GPUs that compute with it, and less exact.
            What these cannot hold is computed again in float32.
        self_ensemble: take the mean over 8 flips and rotations: better, and 8 times the work.
        engine: 'keras', or 'openvino', which is faster on CPUs; 'auto': OpenVINO where it is installed and can be used.

    Returns:
        `SuperResolver`.

    Raises:
        UserError: `model` is not there or cannot be loaded, it is for another scale, or an argument is not allowed.
    """
    if precision not in INFERENCE_PRECISIONS:
        raise UserError(f"precision {precision} is not supported: choose {' or '.join(INFERENCE_PRECISIONS)}")
    engine = choose_engine(engine, precision)
    path = model_path(model, scale)
    network, exact = in_precision(weights.load(path), precision)
    super_resolve = SuperResolver(network, tile_size, default_memory(network), self_ensemble, path.stem, exact,
                                   engine=engine)
    if scale not in (None, super_resolve.scale):
        raise UserError(f"{path}: is a model for scale {super_resolve.scale}, not {scale}")
    return super_resolve


def model_path(model, scale):
    """Returns the path of what `load` reads, whose arguments these are; what an address names is fetched.

    Raises:
        UserError: there is no shipped model of this name or scale, or it cannot be fetched.
    """
    if str(model).startswith(HUB):
        return fetch(str(model))
    if model is None:
        return pretrained.default_path(DEFAULT_SCALE if scale is None else scale)
    is_name = Path(model).suffix.lower() not in (".keras", *FOREIGN_SUFFIXES) and Path(model).name == str(model)
    return pretrained.path_of(str(model)) if is_name else Path(model)


def default_model(scale, image):
    """Returns the path of the shipped model for a scale, None for 4, that is best for the image file `image`.

    Raises:
        UserError: there is no shipped model for this scale.
    """
    form = format_by_suffix(image)
    return pretrained.default_path(DEFAULT_SCALE if scale is None else scale, form is not None and form.is_lossy)
