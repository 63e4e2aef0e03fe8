"""The door: any model file in, a .keras file out."""

from pathlib import Path

from choices import FOREIGN_SUFFIXES
from errors import UserError
from weights.foreign import load_foreign
from weights.native import load_native, save


def load(path):
    """Loads a model for inference: a `.keras` file, or other people's weights, whose notes are printed.

    Raises:
        UserError: as `load_native` and `load_foreign`.
    """
    path = Path(path)
    if path.suffix.lower() not in FOREIGN_SUFFIXES:
        return load_native(path)
    network, notes = load_foreign(path)
    print("\n".join(notes))
    return network


def convert(path, target, **settings):
    """Writes other people's weights as a .keras file, and prints the notes.

    `settings` are those of `load_foreign`.

    Raises:
        UserError: `target` is no .keras file, or `path` cannot be loaded.
    """
    if target.suffix != ".keras":
        raise UserError(f"{target}: give a file to write that ends in .keras")
    model, notes = load_foreign(path, **settings)
    save(model, target)
    print("\n".join([*notes, f"written: {target}"]))
