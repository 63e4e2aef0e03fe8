"""Model files, the one way in and out: our own (.keras), Keras files (.h5), .safetensors and PyTorch's (.pt)."""

from weights.copying import copy
from weights.files import convert, load
from weights.foreign import load_foreign
from weights.mixing import mix, write_half, write_with_colours
from weights.native import model_scale, save
from weights.runtimes import write_runtime

__all__ = ["convert", "copy", "load", "load_foreign", "mix", "model_scale", "save", "write_half", "write_runtime",
           "write_with_colours"]
