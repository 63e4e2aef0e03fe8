"""The transfer of weights from one network to another."""

from typing import NamedTuple

import keras
import numpy as np

from errors import UserError
from weights.networks import num_blocks

VARIATION = 0.1  # of the kernels of a block that stands several times, so that each of them learns something else


class Copied(NamedTuple):
    """What `copy` has done.

    Attributes:
        copied: names of the target's layers that have got weights.
        skipped: names of those that have not: they are absent in the source, or of other shapes.
        blocks: residual blocks of the source and of the target, where the first stand for the others; else None.
    """

    copied: list
    skipped: list
    blocks: tuple | None


def copy(source, target):
    """Copies the weights of each layer of `source` to the layer of the same name in `target`.

    Where `target` has more residual blocks, those of `source` stand for them, most of them several times in a row.
    What such a block adds to its input is divided by their number, so that `target` begins near `source` (compare Gong
    et al. 2019, Efficient Training of BERT by Progressively Stacking, section 3).

    Returns:
        `Copied`.

    Raises:
        UserError: no layer fits.
    """
    weights = {layer.name: layer.get_weights() for layer in source.layers if layer.weights}
    blocks = tuple(num_blocks(layer.name for layer in network.layers) for network in (source, target))
    is_deeper = 0 < blocks[0] < blocks[1] and _branches_end_in_convolutions(target)
    if is_deeper:
        weights = _repeated(weights, target, *blocks)
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
    has_blocks = is_deeper and num_blocks(copied) > 0
    return Copied(copied, skipped, blocks if has_blocks else None)


def _branches_end_in_convolutions(network):
    """Returns whether a block adds the output of a convolution, scaled or not, to its input."""
    block = [layer for layer in network.layers
             if layer.name.startswith("block_1_") and not isinstance(layer, keras.layers.Rescaling)]
    return block[-1].name == "block_1_add" and isinstance(block[-2], keras.layers.Conv2D)


def _repeated(weights, target, num_source, num_target):
    """Returns the weights, by layer, of as many blocks as the target has."""
    rng = np.random.default_rng(0)
    parts = [layer.name.removeprefix("block_1_") for layer in target.layers
             if layer.weights and layer.name.startswith("block_1_")]
    origins = [i * num_source // num_target for i in range(num_target)]
    result = dict(weights)
    for i, origin in enumerate(origins):
        times = origins.count(origin)
        for part in parts:
            arrays = weights.get(f"block_{origin + 1}_{part}", [])
            if times > 1:
                share = times if part == parts[-1] else 1
                arrays = [_varied(array, rng) / share for array in arrays]
            result[f"block_{i + 1}_{part}"] = arrays
    return result


def _varied(array, rng):
    """Returns a kernel whose numbers differ from the one's by `VARIATION`, normally distributed; a bias as it is."""
    return array * (1 + VARIATION * rng.standard_normal(array.shape)) if array.ndim > 1 else array
