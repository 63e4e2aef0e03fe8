"""What a .keras file may hold: the classes of layers, the settings of each, and what a layer makes of its inputs.

A row of `CLASSES` is all that is needed for another class of layers; `super_resolution.reach` must know it too.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from keras import layers

from choices import MODEL_SCALES
from model import BilinearEnlarging, ColourKeeping, CropToImage, PixelShuffle, PixelUnshuffle, SymmetricPadding
from weights.checks import channelwise, either, number, one_of, pair, whole
from weights.networks import MAX_EXPANDED

MAX_KERNEL, MAX_DILATION, MAX_PADDING = 31, 16, 32  # the networks have 9, 1 and 2
FACTORS = tuple(scale for scale in MODEL_SCALES if scale > 1)
MAX_SIGMA = 16  # pixels of a Gaussian
MAX_NUMBER = 1e6  # of what pixels, at most 255, are multiplied with
ACTIVATIONS = ("linear", "relu", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "tanh")  # each looks at one number
INITIALIZERS = ("Zeros", "Ones", "Constant", "RandomNormal", "RandomUniform", "TruncatedNormal", "GlorotNormal",
                "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform", "VarianceScaling")
POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")


class Features(NamedTuple):
    """What a layer puts out for images of any size.

    Attributes:
        channels: number of channels.
        resolution: how many times finer than the image's it is.
        margin: by how many pixels, of this resolution, it is higher and wider than the image.
        multiple: the image's size is rounded up to a multiple of this, in pixels of the image.
    """

    channels: int
    resolution: float
    margin: tuple
    multiple: int = 1


class LayerClass(NamedTuple):
    """A class of layers.

    Attributes:
        build: makes a layer from its name, dtype and the checked settings.
        settings: name of a setting -> `Check`; all of them are needed.
        result: function of the settings and a list of `Features`: returns the layer's own, or raises `ValueError`.
        weights: function of the settings and the number of channels: the shapes of the layer's weights.
        group: name of these layers in a file of weights, without a number.
        merges: whether it takes a list of inputs.
        package: of a registered name; None for Keras' own.
        unused: further settings, which have no effect.
    """

    build: Callable
    settings: dict
    result: Callable
    weights: Callable = lambda settings, channels: []
    group: str | None = None
    merges: bool = False
    package: str | None = None
    unused: tuple = ()


def _same(settings, inputs):
    (features,) = inputs
    return features


def _rescaled(settings, inputs):
    (features,) = inputs
    for key in ("scale", "offset"):
        if isinstance(settings[key], list) and len(settings[key]) not in (1, features.channels):
            raise ValueError(f"has {len(settings[key])} values of {key} for {features.channels} channels")
    return features


def _merged(settings, inputs):
    if len(inputs) < 2:
        raise ValueError("takes one input, where two or more are needed")
    if len({features[1:] for features in inputs}) > 1:
        raise ValueError("takes feature maps of different sizes")
    channels = {features.channels for features in inputs}
    if len(channels - {1}) > 1:
        raise ValueError(f"takes feature maps of {', '.join(map(str, sorted(channels)))} channels")
    return inputs[0]._replace(channels=max(channels))


def _subtracted(settings, inputs):
    if len(inputs) != 2:
        raise ValueError(f"takes {len(inputs)} inputs, where two are needed")
    return _merged(settings, inputs)


def _concatenated(settings, inputs):
    channels = sum(features.channels for features in inputs)
    if channels > MAX_EXPANDED:
        raise ValueError(f"makes {channels:,} channels: {MAX_EXPANDED:,} are allowed")
    return _merged(settings, [features._replace(channels=1) for features in inputs])._replace(channels=channels)


def _convolved(settings, inputs):
    (features,) = inputs
    margin = features.margin
    if settings["padding"] == "valid":
        margin = tuple(size - (kernel - 1) * dilation for size, kernel, dilation in
                       zip(margin, settings["kernel_size"], settings["dilation_rate"], strict=True))
    return features._replace(channels=settings["filters"], margin=margin)


def _shuffled(settings, inputs):
    (features,) = inputs
    factor = settings["factor"]
    if features.channels % factor**2:
        raise ValueError(f"has the factor {factor}, to which {features.channels} channels cannot be shared out")
    return _enlarged(features, factor)._replace(channels=features.channels // factor**2)


def _enlarged(features, factor):
    resolution = features.resolution * factor
    if resolution > max(MODEL_SCALES):
        raise ValueError(f"enlarges images {resolution:g} times: {max(MODEL_SCALES)} times is the most")
    return features._replace(resolution=resolution, margin=tuple(size * factor for size in features.margin))


def _unshuffled(settings, inputs):
    (features,) = inputs
    factor = settings["factor"]
    if features[1:] != Features(3, 1, (0, 0))[1:] or features.channels * factor**2 > MAX_EXPANDED:
        raise ValueError("takes something else than feature maps of the image's own size")
    return Features(features.channels * factor**2, 1 / factor, (0, 0), factor)


def _cropped(settings, inputs):
    if len(inputs) != 2:
        raise ValueError(f"takes {len(inputs)} inputs, where two are needed")
    sr, lr = inputs
    if sr.resolution != lr.resolution * settings["scale"] or any(sr.margin + lr.margin) or lr.multiple > 1:
        raise ValueError(f"takes images of which one is not {settings['scale']} times as large as the other")
    return sr._replace(multiple=1)


def _with_colours(settings, inputs):
    if len(inputs) != 2 or {features.channels for features in inputs} != {3}:
        raise ValueError("takes other inputs than an image and its enlargement")
    sr, lr = inputs
    if sr.resolution != lr.resolution * settings["scale"] or any(sr.margin + lr.margin) or sr.multiple > 1:
        raise ValueError(f"takes images of which one is not {settings['scale']} times as large as the other")
    return sr


def _padded(settings, inputs):
    (features,) = inputs
    return features._replace(margin=tuple(size + 2 * settings["padding"] for size in features.margin))


def _conv_weights(settings, channels):
    kernel = (*settings["kernel_size"], channels, settings["filters"])
    return [kernel, kernel[-1:]] if settings["use_bias"] else [kernel]


def _norm_weights(settings, channels):
    return [(channels,)] * (2 + settings["center"] + settings["scale"])


BOOLEAN, NULL = one_of(True, False), one_of(None)
ACTIVATION = one_of(*ACTIVATIONS)
CONV2D = {
    "filters": whole(1, MAX_EXPANDED), "kernel_size": pair(whole(1, MAX_KERNEL)), "strides": one_of([1, 1]),
    "padding": one_of("same", "valid"), "data_format": one_of("channels_last"),
    "dilation_rate": pair(whole(1, MAX_DILATION)), "groups": one_of(1), "activation": ACTIVATION, "use_bias": BOOLEAN,
}
NORMALIZATION = {"axis": one_of(-1, 3), "momentum": number(0, 1), "epsilon": number(1e-12, 1), "center": BOOLEAN,
                 "scale": BOOLEAN}
RELU = {"max_value": either(NULL, number(0, MAX_NUMBER)), "negative_slope": number(0, MAX_NUMBER),
        "threshold": number(0, MAX_NUMBER)}
RESCALING = {key: channelwise(number(-MAX_NUMBER, MAX_NUMBER)) for key in ("scale", "offset")}
DROPOUT = {"rate": number(0, 1), "seed": either(NULL, whole(0, 2**32 - 1)), "noise_shape": NULL}
CLASSES = {
    "Conv2D": LayerClass(layers.Conv2D, CONV2D, _convolved, _conv_weights, "conv2d"),
    "Add": LayerClass(layers.Add, {}, _merged, merges=True),
    "Subtract": LayerClass(layers.Subtract, {}, _subtracted, merges=True),
    "Multiply": LayerClass(layers.Multiply, {}, _merged, merges=True),
    "Average": LayerClass(layers.Average, {}, _merged, merges=True),
    "Concatenate": LayerClass(layers.Concatenate, {"axis": one_of(-1, 3)}, _concatenated, merges=True),
    "Rescaling": LayerClass(layers.Rescaling, RESCALING, _rescaled),
    "Activation": LayerClass(layers.Activation, {"activation": ACTIVATION}, _same),
    "ReLU": LayerClass(layers.ReLU, RELU, _same),
    "LeakyReLU": LayerClass(layers.LeakyReLU, {"negative_slope": number(0, MAX_NUMBER)}, _same),
    "PReLU": LayerClass(layers.PReLU, {"shared_axes": one_of([1, 2])}, _same,
                        lambda settings, channels: [(1, 1, channels)], "p_re_lu"),
    "Dropout": LayerClass(layers.Dropout, DROPOUT, _same),
    "BatchNormalization": LayerClass(layers.BatchNormalization, NORMALIZATION, _same, _norm_weights,
                                     "batch_normalization", unused=("renorm_momentum",)),
    "UpSampling2D": LayerClass(
        layers.UpSampling2D, {"size": one_of(*([factor, factor] for factor in FACTORS)),
                              "data_format": one_of("channels_last"), "interpolation": one_of("nearest")},
        lambda settings, inputs: _enlarged(*inputs, settings["size"][0])),
    "PixelUnshuffle": LayerClass(PixelUnshuffle, {"factor": one_of(2, 4)}, _unshuffled, package="super_resolution"),
    "CropToImage": LayerClass(CropToImage, {"scale": one_of(*MODEL_SCALES)}, _cropped, merges=True,
                              package="super_resolution"),
    "BilinearEnlarging": LayerClass(
        BilinearEnlarging, {"factor": one_of(*FACTORS)},
        lambda settings, inputs: _enlarged(*inputs, settings["factor"]), package="super_resolution"),
    "PixelShuffle": LayerClass(PixelShuffle, {"factor": whole(2, max(MODEL_SCALES))}, _shuffled,
                               package="super_resolution"),
    "ColourKeeping": LayerClass(ColourKeeping, {"scale": one_of(*MODEL_SCALES), "sigma": number(0.5, MAX_SIGMA)},
                                _with_colours, merges=True, package="super_resolution"),
    "SymmetricPadding": LayerClass(SymmetricPadding, {"padding": whole(0, MAX_PADDING)}, _padded,
                                   package="super_resolution"),
}


def is_initializer(value):
    """Whether a value from a configuration names one of Keras' initializers, with nothing but plain arguments."""
    if value is None or value in INITIALIZERS:
        return True
    return (isinstance(value, dict) and value.get("module") == "keras.initializers"
            and value.get("class_name") in INITIALIZERS and value.get("registered_name") is None
            and isinstance(value.get("config"), dict) and all(map(_is_plain, value["config"].values())))


def policy_name(value):
    """Returns the name of a dtype policy from a configuration, or None where it is none of `POLICIES`."""
    if isinstance(value, dict) and value.get("class_name") == "DTypePolicy" and isinstance(value.get("config"), dict):
        value = value["config"].get("name")
    return value if value in POLICIES else None


def _is_plain(value):
    return value is None or isinstance(value, (int, str)) or (isinstance(value, float) and math.isfinite(value))
