"""What the readers of foreign files share: named tensors, and arithmetic on kernels (height, width, in, out)."""

from typing import NamedTuple

import numpy as np

from errors import UserError

MAX_ELEMENTS = 200_000_000  # a file that declares more is refused; EDSR with 32 x 256 filters has 43 million
PYTORCH_AXES = (3, 2, 0, 1)  # from a Keras kernel (height, width, in, out) to PyTorch's (out, in, height, width)


class Tensor(NamedTuple):
    """An array in Keras' layout, its name in the file, and the order of the file's axes where that differs."""

    name: str
    array: np.ndarray
    axes: tuple | None = None

    def in_file(self, shape):
        """Returns `shape`, given in Keras' layout, as the file would have it."""
        return tuple(shape) if self.axes is None or len(shape) != len(self.axes) else tuple(shape[i] for i in self.axes)


class Source(NamedTuple):
    """What a reader found: the network's kind, its tensors by our layers' names, and the file's own settings."""

    kind: str  # one of model.NETWORKS
    layers: dict  # name of our layer -> list of Tensor in the order of its weights
    settings: dict  # those of 'padding', 'tanh', 'res_scaling' that the file says
    notes: list
    sizes: dict = {}  # further arguments of the network's builder that no shape says


def to_float32(path, name, array):
    """Returns `array` as float32.

    Raises:
        UserError: a number is not finite.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # what becomes infinite is refused
        array = np.asarray(array, dtype="float32")
    if not np.isfinite(array).all():
        raise UserError(f"{path}: tensor {name} holds numbers that are not finite")
    return array


def fold_weight_norm(direction, gain):
    """Returns gain * direction / ||direction||, the norm over all axes but the last (Salimans & Kingma 2016).

    A direction of length zero gives zeros.
    """
    norm = np.sqrt(np.sum(np.square(direction, dtype="float64"), axis=tuple(range(direction.ndim - 1))))
    return (direction * (gain.reshape(-1) / np.where(norm == 0, 1, norm))).astype("float32")


def shuffle_order(array, num_colours):
    """Reorders the last axis from PyTorch's pixel shuffle (colour, row, column) to ours (row, column, colour)."""
    if array.shape[-1] % num_colours:
        return array  # does not fit the network, which is reported with the shape it should have
    blocks = array.reshape(*array.shape[:-1], num_colours, -1)
    return np.ascontiguousarray(np.swapaxes(blocks, -1, -2)).reshape(array.shape)


def scaled(tensors, kernel_factor, bias_factor=1.0):
    """Returns the [kernel, bias] of a convolution, each multiplied by its factor."""
    return [tensor._replace(array=(tensor.array * np.float64(factor)).astype("float32"))
            for tensor, factor in zip(tensors, (kernel_factor, bias_factor), strict=True)]
