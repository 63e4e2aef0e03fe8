"""What a network costs, as tables of efficient super-resolution state it."""

import math
from typing import NamedTuple

import keras


class Complexity(NamedTuple):
    """Counts at one size of the output.

    Attributes:
        multiply_adds: of all convolutions; those that are applied once to the weights do not count.
        activations: elements that all convolutions put out.
        output: (width, height) of the enlarged image, pixels.
    """

    multiply_adds: int
    activations: int
    output: tuple


def complexity_of(model, scale, output=(1280, 720)):
    """Returns the `Complexity` of a network that enlarges images by `scale`, at an output of about (width, height).

    The input has ceil(height / scale) x ceil(width / scale) pixels.
    """
    width, height = (math.ceil(side / scale) for side in output)
    counts = []

    def call(layer, *args, **kwargs):
        outputs = layer(*args, **kwargs)
        if isinstance(layer, keras.layers.Conv2D):
            size = math.prod(outputs.shape[1:])
            counts.append((size * math.prod(layer.kernel.shape[:-1]), size))
        return outputs

    bare = keras.Model(model.input, model.output)  # what a model was compiled with would be cloned as well
    keras.models.clone_model(bare, keras.Input((height, width, 3)), clone_function=lambda layer: layer,
                             call_function=call)
    multiply_adds, activations = (sum(column) for column in zip(*counts, strict=True))
    return Complexity(multiply_adds, activations, (width * scale, height * scale))
