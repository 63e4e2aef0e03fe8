"""The shipped models: .keras files beside this one, and their list, models.json. Nothing slow is imported."""

import functools
import json
import os
from pathlib import Path

from errors import UserError

FOLDER = Path(__file__).parent
LIST = FOLDER / "models.json"  # one entry a model; what stands in it is said in docs/results.md


@functools.cache
def models():
    """Returns the list of the shipped models: a dict from name to a dict of its entry."""
    return json.loads(LIST.read_text(encoding="utf-8"))


def names():
    """Returns the sorted names of the shipped models."""
    return sorted(models())


def path_of(name):
    """Returns the file of a shipped model.

    Raises:
        UserError: lists the names that there are.
    """
    if name not in models():
        raise UserError(f"{name} is none of the shipped models: choose {', '.join(names())}, or give a file of weights")
    return FOLDER / f"{name}.keras"


def find(text):
    """Returns the path `text`, or the file of the shipped model of this name where nothing is at that path."""
    is_name = not os.path.lexists(text) and str(text) in names()
    return path_of(str(text)) if is_name else Path(text)


def default_path(scale, lossy=False):
    """Returns the file of the shipped model for a scale, never a GAN's generator.

    Args:
        scale: factor.
        lossy: for images that were compressed with loss, such as JPEG; where no model was trained on such images, it is
            the one for other images.

    Raises:
        UserError: says for which scales there is one.
    """
    defaults = {(entry["scale"], kind): name for name, entry in models().items() for kind in entry["default_for"]}
    name = (lossy and defaults.get((scale, "lossy"))) or defaults.get((scale, "lossless"))
    if name is None:
        scales = sorted({scale for scale, _ in defaults})
        raise UserError(f"there is no shipped model for scale {scale}: choose {', '.join(map(str, scales))}, or give a "
                        "model")
    return path_of(name)
