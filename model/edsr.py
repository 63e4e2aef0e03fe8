"""EDSR: Enhanced Deep Residual Networks for Single Image Super-Resolution (Lim et al. 2017)."""

import keras
from keras import layers

from model.common import PixelShuffle, builder, conv, denormalize, image_input, normalize


@builder
def edsr(scale, num_filters=64, num_res_blocks=8, res_block_scaling=None, tanh_activation=False):
    """Builds EDSR (figure 3 of the paper). RGB (N, H, W, 3) in [0, 255] in, (N, H scale, W scale, 3) out.

    Args:
        scale: 2, 3, 4 or 8.
        num_filters: filters of every convolution but the last.
        num_res_blocks: residual blocks.
        res_block_scaling: factor on each residual branch (section 3.2; 0.1 for 256 filters), or None.
        tanh_activation: end in tanh scaled from [-1, 1] to [0, 255], as a generator of SRGAN does.

    Returns:
        An uncompiled `keras.Model`; its output is not clipped (with tanh it is in [0, 255]).
    """
    lr = image_input()
    x = head = conv(normalize(lr), num_filters, 3, "head")
    for i in range(1, num_res_blocks + 1):
        x = _res_block(x, num_filters, res_block_scaling, f"block_{i}")
    x = conv(x, num_filters, 3, "body_end")
    x = layers.Add(name="body_add")([head, x])
    x = upsample(x, scale, num_filters)
    x = conv(x, 3, 3, "tail")
    if tanh_activation:
        x = layers.Activation("tanh", name="tanh", dtype="float32")(x)
        sr = layers.Rescaling(127.5, 127.5, name="denormalize", dtype="float32")(x)
    else:
        sr = denormalize(x)
    return keras.Model(lr, sr, name="edsr")


def edsr_gen(scale, num_filters=64, num_res_blocks=8, res_block_scaling=None):
    """Builds EDSR that ends in tanh, a generator of SRGAN; the arguments are those of `edsr`."""
    return edsr(scale, num_filters, num_res_blocks, res_block_scaling, tanh_activation=True)


def upsample(x, scale, num_filters):
    """Enlarges feature maps by `scale` (2, 3, 4 or 8): x4 is two steps of x2, x8 three."""
    for i, factor in enumerate((3,) if scale == 3 else (2,) * (scale.bit_length() - 1), start=1):
        x = conv(x, num_filters * factor**2, 3, f"upsample_{i}")
        x = PixelShuffle(factor, name=f"upsample_{i}_shuffle")(x)
    return x


def _res_block(x_in, num_filters, scaling, name):
    x = conv(x_in, num_filters, 3, f"{name}_conv_1")
    x = layers.ReLU(name=f"{name}_relu")(x)
    x = conv(x, num_filters, 3, f"{name}_conv_2")
    if scaling:
        x = layers.Rescaling(scaling, name=f"{name}_scaling")(x)
    return layers.Add(name=f"{name}_add")([x_in, x])
