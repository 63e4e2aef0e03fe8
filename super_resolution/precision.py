"""A network for inference in another precision."""

import keras
from keras import layers, tree

POLICIES = {"bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}  # of the precisions other than float32


def in_precision(model, precision):
    """Returns a float32 network as it computes in a precision, and the float32 one if that has 16 bits."""
    return (mixed(model, POLICIES[precision]), model) if precision in POLICIES else (model, None)


def mixed_bfloat16(model):
    """Returns a copy of a network that computes in bfloat16 between its first and last convolutions: see `mixed`."""
    return mixed(model, "mixed_bfloat16")


def mixed(model, policy):
    """Returns a copy of a float32 network that computes in 16 bits between its first and last convolutions.

    Its weights are float32, as those of `model`, and so is the work of the layers that touch images: those without a
    convolution before them or without one after them. All others have the `policy`: mixed_bfloat16 or mixed_float16.
    """
    before = _beside_convolutions(model.layers, lambda layer: layer.input, lambda layer: layer.output)
    after = _beside_convolutions(reversed(model.layers), lambda layer: layer.output, lambda layer: layer.input)
    inner = {layer.name for layer in model.layers
             if isinstance(layer, layers.Conv2D) or (layer.name in before and layer.name in after)}

    def clone(layer):
        dtype = policy if layer.name in inner else "float32"
        return type(layer).from_config({**layer.get_config(), "dtype": dtype})

    copied = keras.models.clone_model(model, clone_function=clone)
    copied.set_weights(model.get_weights())
    return keras.Model(copied.inputs[0], copied.outputs[0], name=model.name)  # takes one tensor, as `model`


def _beside_convolutions(ordered_layers, sources, results):
    """Returns the names of the layers that have a convolution among those from which `sources` come."""
    found, behind = set(), set()
    for layer in ordered_layers:
        has_convolution = any(id(tensor) in behind for tensor in tree.flatten(sources(layer)))
        if has_convolution:
            found.add(layer.name)
        if has_convolution or isinstance(layer, layers.Conv2D):
            behind |= {id(tensor) for tensor in tree.flatten(results(layer))}
    return found
