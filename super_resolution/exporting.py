"""Writes a model for other runtimes, with the facts that its user needs."""

import pretrained
import weights
from super_resolution.precision import mixed
from super_resolution.reach import grid, receptive_radius
from super_resolution.tiles import rounded_up


def export(path, target, half=False, opset=17, licence=None):
    """Writes the model at `path` for the runtime that the suffix of `target` names, as `weights.write_runtime` does.

    Args:
        path: of a model's file.
        target: .onnx, .xml, .tflite, or a folder without a suffix.
        half: write float16, where the format has it.
        opset: of ONNX.
        licence: of the model; None: that of a shipped model, otherwise unknown.

    Returns:
        The note of `write_runtime`, and the facts that the file carries: see `facts`.

    Raises:
        UserError: as `weights.load` and `weights.write_runtime`.
    """
    from skimage import data

    model = weights.load(path)
    carried = facts(model, path, licence)
    photo = data.chelsea()[90:162, 130:230]  # a cat's face: comes with scikit-image, CC0
    note = weights.write_runtime(model, target, carried, photo, mixed(model, "mixed_float16") if half else None, opset)
    return note, carried


def facts(model, path, licence=None):
    """Returns what whoever runs a model without this suite must know, as a dict of text.

    name; scale; halo: pixels by which tiles overlap, so that they make what the whole image would; grid: tiles begin at
    multiples of it; licence.
    """
    shipped = path.parent == pretrained.FOLDER and pretrained.models().get(path.stem, {}).get("licence")
    values = {"name": path.stem, "scale": weights.model_scale(model), "grid": grid(model),
              "halo": rounded_up(receptive_radius(model), grid(model)), "licence": licence or shipped or "unknown"}
    return {name: str(value) for name, value in values.items()}
