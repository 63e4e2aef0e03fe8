"""What a network needs for an image: how far it looks around a pixel, and how much memory its layers take."""

import math

from keras import layers, tree

from model.common import PixelShuffle, SymmetricPadding
from options import UserError

POINTWISE = (layers.InputLayer, layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Concatenate,
             layers.Rescaling, layers.Activation, layers.ReLU, layers.PReLU, layers.LeakyReLU, layers.Dropout,
             layers.BatchNormalization, SymmetricPadding)


def receptive_radius(model):
    """Returns the distance in input pixels up to which a functional network of images looks, rounded up.

    An output pixel whose input pixel is farther than this from the border of a crop is the same for the crop as for
    the whole image.

    Raises:
        UserError: the network has a layer whose reach is not known here.
    """
    return math.ceil(max(radius for radius, _ in _reach(model).values()))


def largest_layer(model):
    """Returns the size of the largest output of a layer of `model`, in bytes of float32 for each input pixel."""
    reach = _reach(model)
    return max(4 * tensor.shape[-1] * reach[id(tensor)][1]**2
               for layer in model.layers for tensor in tree.flatten(layer.output))


def _reach(model):
    """Returns of each layer's output, by its id: the radius in input pixels, and the resolution (1 is the input's)."""
    reach = {id(tensor): (0.0, 1) for tensor in model.inputs}
    for layer in model.layers:
        if len(layer._inbound_nodes) != 1:
            raise UserError(f"{model.name}: its layer {layer.name} is used more than once: "
                            "it cannot be applied in tiles")
        inputs = [] if isinstance(layer, layers.InputLayer) else tree.flatten(layer.input)
        before = [reach.get(id(tensor), (0.0, 1)) for tensor in inputs] or [(0.0, 1)]
        radius, resolution = max(radius for radius, _ in before), before[0][1]
        if isinstance(layer, layers.Conv2D):
            size = max((kernel - 1) * dilation for kernel, dilation in
                       zip(layer.kernel_size, layer.dilation_rate, strict=True))
            radius += size / 2 / resolution
        elif isinstance(layer, PixelShuffle):
            resolution *= layer.factor
        elif not isinstance(layer, POINTWISE):
            raise UserError(f"{model.name}: the reach of its layer {layer.name} ({type(layer).__name__}) is not known: "
                            "it cannot be applied in tiles")
        for tensor in tree.flatten(layer.output):
            reach[id(tensor)] = radius, resolution
    return reach
