"""The shipped models: .keras files beside this one. Names end in the scale; nothing is imported that takes time."""

from pathlib import Path

from errors import UserError

FOLDER = Path(__file__).parent
# The model of each scale where none is named: one trained with a pixel-wise loss, never a GAN's generator.
DEFAULTS = {2: "wdsr-b-8-x2", 3: "wdsr-b-8-x3", 4: "wdsr-b-8-x4"}


def names():
    """Returns the sorted names of the shipped models."""
    return sorted(path.stem for path in FOLDER.glob("*.keras"))


def path_of(name):
    """Returns the file of a shipped model.

    Raises:
        UserError: lists the names that there are.
    """
    if name not in names():
        raise UserError(f"{name} is none of the shipped models: choose {', '.join(names())}, or give a file of weights")
    return FOLDER / f"{name}.keras"


def default_path(scale):
    """Returns the file of the shipped model for a scale.

    Raises:
        UserError: says for which scales there is one.
    """
    if scale not in DEFAULTS:
        raise UserError(f"there is no shipped model for scale {scale}: choose {', '.join(map(str, sorted(DEFAULTS)))}, "
                        "or give a model")
    return path_of(DEFAULTS[scale])
