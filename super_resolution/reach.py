"""What a network needs for an image: how far it looks around a pixel, and how much memory its layers take."""

import math
from typing import NamedTuple

import keras
from keras import layers, tree

from errors import UserError
from model.common import (
    BilinearEnlarging,
    ColourKeeping,
    CropToImage,
    PixelShuffle,
    PixelUnshuffle,
    SymmetricPadding,
)

POINTWISE = (layers.InputLayer, layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Concatenate,
             layers.Rescaling, layers.Activation, layers.ReLU, layers.PReLU, layers.LeakyReLU, layers.Dropout,
             layers.BatchNormalization, SymmetricPadding, CropToImage)


class Stage(NamedTuple):
    """A network, or a part of one that follows another.

    Attributes:
        network: a `keras.Model` of images, or of their feature maps.
        halo: distance in pixels of the image up to which the network looks, rounded up.
        pixel_bytes: size of the largest output of a layer, in bytes of float32 for each pixel of the image.
    """

    network: keras.Model
    halo: int
    pixel_bytes: int


def receptive_radius(model):
    """Returns the distance in input pixels up to which a functional network of images looks, rounded up.

    An output pixel whose input pixel is farther than this from the border of a crop is the same for the crop as for
    the whole image.

    Raises:
        UserError: the network has a layer whose reach is not known here.
    """
    return math.ceil(max(radius for radius, _ in _reach(model).values()))


def grid(model):
    """Returns the number of pixels to a multiple of which a crop must begin for the network to see what it would in
    the whole image: 1 unless the network rearranges pixels."""
    return math.prod(layer.factor for layer in model.layers if isinstance(layer, PixelUnshuffle))


def largest_layer(model):
    """Returns the size of the largest output of a layer of `model`, in bytes of float32 for each input pixel."""
    return _largest(model.layers, _reach(model))


def split_tail(model):
    """Cuts a network in two where that saves memory: before the features grow to the size of the output.

    The halo of the first part is that of the whole network: what lies within it is needed by the second part.

    Returns:
        The stages to be applied one after the other: two, of which the second takes the features of the first, at the
        resolution of the image; one where there is no such cut.

    Raises:
        UserError: as `receptive_radius`.
    """
    reach = _reach(model)
    halo, cut = receptive_radius(model), _cut(model, reach)
    if cut is not None:
        features = model.layers[cut].output
        head_bytes, tail_bytes = _largest(model.layers[:cut + 1], reach), _largest(model.layers[cut + 1:], reach)
        if tail_bytes > head_bytes:
            # The same layers in new models: the weights are shared.
            tail_halo = math.ceil(max(radius for radius, _ in reach.values()) - reach[id(features)][0])
            return [Stage(keras.Model(model.inputs, features), halo, head_bytes),
                    Stage(keras.Model(features, model.outputs), tail_halo, tail_bytes)]
    return [Stage(model, halo, _largest(model.layers, reach))]


def _cut(model, reach):
    """Returns the index of the last of the narrowest layers, after a convolution and at the resolution of the image,
    whose output is all that the layers after it take; None where there is no such layer."""
    last_use = {id(tensor): i for i, layer in enumerate(model.layers) for tensor in _inputs(layer)}
    narrowest, cut, used, has_convolution = math.inf, None, 0, False
    for i, layer in enumerate(model.layers[:-1]):
        has_convolution = has_convolution or isinstance(layer, layers.Conv2D)
        output = layer.output
        # `used` is the last use of what came before: where it is this layer, nothing but its output is left.
        if (has_convolution and used <= i and isinstance(output, keras.KerasTensor)
                and reach[id(output)][1] == 1 and output.shape[-1] <= narrowest):
            narrowest, cut = output.shape[-1], i
        used = max(used, last_use.get(id(output), 0))
    return cut


def _largest(some_layers, reach):
    return max(4 * tensor.shape[-1] * reach[id(tensor)][1]**2
               for layer in some_layers for tensor in tree.flatten(layer.output))


def _reach(model):
    """Returns of each layer's output, by its id: the radius in input pixels, and the resolution (1 is the input's)."""
    reach = {id(tensor): (0.0, 1) for tensor in model.inputs}
    for layer in model.layers:
        radius, resolution = _before(model, layer, reach)
        if isinstance(layer, layers.Conv2D):
            size = max((kernel - 1) * dilation for kernel, dilation in
                       zip(layer.kernel_size, layer.dilation_rate, strict=True))
            radius += size / 2 / resolution
        elif isinstance(layer, PixelShuffle):
            resolution *= layer.factor
        elif isinstance(layer, layers.UpSampling2D) and layer.interpolation == "nearest":
            resolution *= layer.size[0]
        elif isinstance(layer, BilinearEnlarging):
            radius, resolution = radius + 1 / resolution, resolution * layer.factor
        elif isinstance(layer, PixelUnshuffle):  # a pixel is looked at with all that share its place
            radius, resolution = radius + (layer.factor - 1) / resolution, resolution / layer.factor
        elif isinstance(layer, ColourKeeping):
            radius, resolution = radius + (layer.radius + layer.scale) / layer.scale, layer.scale
        elif not isinstance(layer, POINTWISE):
            raise UserError(f"{model.name}: the reach of its layer {layer.name} ({type(layer).__name__}) is not known: "
                            "it cannot be applied in tiles")
        for tensor in tree.flatten(layer.output):
            reach[id(tensor)] = radius, resolution
    if not all(id(tensor) in reach for tensor in model.outputs):
        raise UserError(f"{model.name}: its last layer is used more than once: it cannot be applied in tiles")
    return reach


def _before(model, layer, reach):
    """Returns the largest radius of what a layer takes, and its resolution."""
    inputs = _inputs(layer)
    if not all(id(tensor) in reach for tensor in inputs):  # a layer's output is that of its first use
        raise UserError(f"{model.name}: a layer before {layer.name} is used more than once: "
                        "it cannot be applied in tiles")
    before = [reach[id(tensor)] for tensor in inputs] or [(0.0, 1)]
    return max(radius for radius, _ in before), before[0][1]


def _inputs(layer):
    return [] if isinstance(layer, layers.InputLayer) else tree.flatten(layer.input)
