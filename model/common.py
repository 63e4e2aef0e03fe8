"""Layers that the networks share."""

import functools
import math

import keras
import numpy as np
from keras import layers, ops

PACKAGE = "super_resolution"
DIV2K_RGB_MEAN = (0.4488, 0.4371, 0.4040)  # of DIV2K's training images, in [0, 1]; EDSR paper's code


@keras.saving.register_keras_serializable(package=PACKAGE)
class PixelShuffle(layers.Layer):
    """Rearranges (N, H, W, C r^2) to (N, H r, W r, C), where r is the `factor` (Shi et al. 2016, equation 4).

    Channels are ordered row within the block, column within the block, colour.
    """

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        return ops.nn.depth_to_space(inputs, self.factor, data_format="channels_last")

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        height, width = (None if size is None else size * self.factor for size in (height, width))
        return batch, height, width, channels // self.factor**2

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


def mirrored(images, padding):
    """Mirrors `padding` pixels, the border pixel included, on every side of (N, H, W, C), for any H, W >= 1.

    Rows and columns are taken by mirrored index, since the backends' own symmetric padding differs or fails on
    images of one pixel.
    """
    for axis in (1, 2):
        images = _mirrored_along(images, axis, padding, padding)
    return images


def _mirrored_along(images, axis, before, after):
    """Mirrors so many pixels before the first and after the last one of an axis."""
    size = ops.shape(images)[axis]
    index = ops.arange(-before, size + after, dtype="int32")
    index = ops.where(index < 0, -index - 1, index)
    index = ops.where(index >= size, 2 * size - 1 - index, index)
    return ops.take(images, ops.clip(index, 0, size - 1), axis=axis)


@keras.saving.register_keras_serializable(package=PACKAGE)
class SymmetricPadding(layers.Layer):
    """Pads images as `mirrored` does."""

    def __init__(self, padding, **kwargs):
        super().__init__(**kwargs)
        self.padding = padding

    def call(self, inputs):
        return mirrored(inputs, self.padding)

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        height, width = (None if size is None else size + 2 * self.padding for size in (height, width))
        return batch, height, width, channels

    def get_config(self):
        return {**super().get_config(), "padding": self.padding}


@keras.saving.register_keras_serializable(package=PACKAGE)
class ColourKeeping(layers.Layer):
    """Gives a super-resolved image the low frequencies of its low-resolution image, and so its colours.

    From sr (N, H s, W s, 3) and lr (N, H, W, 3), both in [0, 255], to sr + blur(enlarged lr - sr), where blur is a
    Gaussian of `sigma` pixels of sr and lr is enlarged by repeating pixels, of which the blur leaves no trace. What is
    flat in lr comes out as it went in. Borders are mirrored.
    """

    def __init__(self, scale, sigma=8.0, **kwargs):
        super().__init__(**kwargs)
        self.scale, self.sigma = scale, sigma
        self.radius = math.ceil(2 * sigma)

    def call(self, inputs):
        sr, lr = (ops.cast(image, "float32") for image in inputs)
        difference = ops.repeat(ops.repeat(lr, self.scale, axis=1), self.scale, axis=2) - sr
        difference = mirrored(difference, self.radius)
        distances = np.arange(-self.radius, self.radius + 1)
        weights = np.exp(-distances**2 / (2 * self.sigma**2))
        kernel = np.repeat((weights / weights.sum())[:, None, None], 3, axis=1).astype("float32")  # (size, colours, 1)
        for shape in ((-1, 1), (1, -1)):
            difference = ops.depthwise_conv(difference, kernel.reshape(*shape, 3, 1), data_format="channels_last")
        return sr + difference

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return {**super().get_config(), "scale": self.scale, "sigma": self.sigma}


@keras.saving.register_keras_serializable(package=PACKAGE)
class PixelUnshuffle(layers.Layer):
    """Rearranges images (N, H, W, C) to (N, H / r, W / r, C r^2), where r is the `factor`: reverses `PixelShuffle`.

    A size that is no multiple of r is made one: the right and the lower border are mirrored. `CropToImage` takes off
    what that adds.
    """

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        for axis in (1, 2):
            over = ops.shape(inputs)[axis] % self.factor
            # Never the remainder of a negative number, which is another one in ONNX.
            inputs = _mirrored_along(inputs, axis, 0, (self.factor - over) % self.factor)
        return ops.nn.space_to_depth(inputs, self.factor, data_format="channels_last")

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        height, width = (None if size is None else -(-size // self.factor) for size in (height, width))
        return batch, height, width, channels * self.factor**2

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable(package=PACKAGE)
class CropToImage(layers.Layer):
    """Crops sr (N, H', W', C), at the right and at the bottom, to `scale` times the size of lr (N, H, W, 3)."""

    def __init__(self, scale, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, inputs):
        sr, lr = inputs
        return sr[:, :ops.shape(lr)[1] * self.scale, :ops.shape(lr)[2] * self.scale]

    def compute_output_shape(self, input_shape):
        (batch, _, _, channels), (_, *size, _) = input_shape
        return batch, *(None if length is None else length * self.scale for length in size), channels

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable(package=PACKAGE)
class BilinearEnlarging(layers.Layer):
    """Enlarges images (N, H, W, C) by the whole `factor`, with repeated borders and the centres of pixels aligned.

    The backends' own resizing computes positions in float32, so that a pixel's value depends on where its tile is.
    """

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        for axis in (1, 2):
            inputs = self._enlarge(inputs, axis)
        return inputs

    def _enlarge(self, images, axis):
        index = ops.arange(0, ops.shape(images)[axis], dtype="int32")
        before = ops.take(images, ops.maximum(index - 1, 0), axis=axis)
        after = ops.take(images, ops.minimum(index + 1, index[-1]), axis=axis)
        phases = []
        for i in range(self.factor):
            distance = (i + 0.5) / self.factor - 0.5  # of a pixel's part from its centre, in pixels
            phases.append((1 - abs(distance)) * images + abs(distance) * (before if distance < 0 else after))
        shape = list(ops.shape(images))
        shape[axis] = shape[axis] * self.factor
        return ops.reshape(ops.stack(phases, axis=axis + 1), shape)

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        height, width = (None if size is None else size * self.factor for size in (height, width))
        return batch, height, width, channels

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


def multiply_pointwise(network):
    """Lets the 1 x 1 convolutions of a network be computed as products of matrices, which is what they are.

    Only those in float32: there it is faster on GPUs and CPUs, and in 16 bits it is not.
    """
    for layer in network.layers:
        if isinstance(layer, layers.Conv2D) and _is_product(layer):
            layer.convolution_op = _pointwise_product


def _is_product(layer):
    return (layer.kernel_size == layer.strides == (1, 1) and layer.groups == 1 and layer.data_format == "channels_last"
            and layer.compute_dtype == "float32")


def _pointwise_product(images, kernel):
    return ops.matmul(images, kernel[0, 0])


def builder(function):
    """Lets a function build its network NHWC and in float32, or in mixed precision where that is the policy.

    What a user's keras.json says is set aside while the network is built, and put back.
    """

    @functools.wraps(function)
    def build(*args, **kwargs):
        before = keras.config.image_data_format(), keras.config.floatx(), keras.config.dtype_policy()
        keras.config.set_image_data_format("channels_last")
        keras.config.set_floatx("float32")
        if not before[2].name.startswith("mixed_"):
            keras.config.set_dtype_policy("float32")
        try:
            return function(*args, **kwargs)
        finally:
            keras.config.set_image_data_format(before[0])
            keras.config.set_floatx(before[1])
            keras.config.set_dtype_policy(before[2])

    return build


def image_input():
    """Returns the input of a network: RGB images (N, H, W, 3) in [0, 255]."""
    return layers.Input((None, None, 3), name="lr")


def normalize(x):
    """Maps RGB in [0, 255] to (x - mean) / 127.5, in float32 whatever the precision of the network."""
    offset = [-mean * 255 / 127.5 for mean in DIV2K_RGB_MEAN]
    return layers.Rescaling(1 / 127.5, offset, name="normalize", dtype="float32")(x)


def denormalize(x):
    """Reverses `normalize`."""
    offset = [mean * 255 for mean in DIV2K_RGB_MEAN]
    return layers.Rescaling(127.5, offset, name="denormalize", dtype="float32")(x)


def conv(x, num_filters, kernel_size, name, padding="same", **kwargs):
    """Applies a named convolution with bias and without activation."""
    return layers.Conv2D(num_filters, kernel_size, padding=padding, name=name, **kwargs)(x)
