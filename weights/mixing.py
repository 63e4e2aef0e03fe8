"""New models from models that are there: between two, with the colours of what goes in, or of half the size."""

from errors import UserError
from model import ColourKeeping, keep_colours
from weights.files import load
from weights.native import model_scale, save, save_half


def mix(first, second, target, weight):
    """Writes a model between two: (1 - weight) times the weights of `first` plus weight times those of `second`.

    Between a generator before and after adversarial training (Wang et al. 2018, ESRGAN, section 3.4) it chooses between
    smooth and textured.

    Args:
        first, second: files of the same network.
        target: .keras file to write.
        weight: 0 to 1.

    Raises:
        UserError: a file cannot be loaded, or the two are different networks.
    """
    ours, theirs = load(first), load(second)
    weights = [model.get_weights() for model in (ours, theirs)]
    shapes = [[(variable.path, tuple(variable.shape)) for variable in model.variables] for model in (ours, theirs)]
    if shapes[0] != shapes[1]:
        raise UserError(f"{second}: is another network than {first}: only models with the same layers can be mixed")
    ours.set_weights([(1 - weight) * a + weight * b for a, b in zip(*weights, strict=True)])
    save(ours, target)


def write_with_colours(path, target):
    """Writes a model whose output has the low frequencies of its input, see `model.common.ColourKeeping`.

    Raises:
        UserError: the file cannot be loaded, or has such a layer already.
    """
    generator = load(path)
    if any(isinstance(layer, ColourKeeping) for layer in generator.layers):
        raise UserError(f"{path}: keeps the colours of its input already")
    save(keep_colours(generator, model_scale(generator)), target)


def write_half(path, target):
    """Writes a model with its weights in float16: it is loaded in float32, and the file has less than half the size.

    Raises:
        UserError: the file cannot be loaded, or has weights that are too large.
    """
    save_half(load(path), target)
