"""The door: any model file in, a .keras file out."""

from pathlib import Path

from choices import FOREIGN_SUFFIXES
from errors import UserError
from weights.export import write_pytorch
from weights.foreign import OPTIONS, load_foreign
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
    """Writes other people's weights as a .keras file, or a model as a .safetensors file for PyTorch; prints the notes.

    `settings` are those of `load_foreign`.

    Raises:
        UserError: `target` is no such file, or `path` cannot be loaded or has no code in PyTorch.
    """
    if target.suffix not in (".keras", ".safetensors"):
        raise UserError(f"{target}: give a file to write that ends in .keras, or in .safetensors (for PyTorch)")
    if Path(path).suffix.lower() not in FOREIGN_SUFFIXES and target.suffix == ".safetensors":
        model, notes = load_native(path), []
        for key, value in settings.items():
            if value is not None:
                raise UserError(f"{path}: is a whole model, which says itself what {OPTIONS[key]} would")
    else:
        model, notes = load_foreign(path, **settings)
    if target.suffix == ".safetensors":
        notes += write_pytorch(path, model, target)
    else:
        save(model, target)
    print("\n".join([*notes, f"written: {target}"]))
