"""SPAN: Swift Parameter-free Attention Network for Efficient Super-Resolution (Wan et al. 2024)."""

import keras
from keras import layers

from model.common import PixelShuffle, builder, conv, denormalize, image_input, normalize


@builder
def span(scale, num_filters=48, num_res_blocks=6, subtract_mean=True):
    """Builds SPAN (figure 2 of the paper), its three-branch convolutions folded into plain ones.

    Args:
        scale: 1, 2, 3, 4 or 8.
        num_filters: filters of every convolution but the last.
        num_res_blocks: blocks with attention.
        subtract_mean: whether DIV2K's mean is subtracted, so that it is what zero padding stands for.

    Returns:
        An uncompiled `keras.Model`: RGB (N, H, W, 3) in [0, 255] in, (N, H scale, W scale, 3) out, not clipped.
    """
    lr = image_input()
    x = normalize(lr) if subtract_mean else layers.Rescaling(1 / 127.5, name="normalize", dtype="float32")(lr)
    x = head = conv(x, num_filters, 3, "head")
    first = inner = None
    for i in range(1, num_res_blocks + 1):
        x, inner = _block(x, num_filters, f"block_{i}")
        first = x if first is None else first
    x = conv(x, num_filters, 3, "body_end")
    x = layers.Concatenate(name="body_concat")([head, x, first, inner])
    x = conv(x, num_filters, 1, "body_fusion")
    x = conv(x, 3 * scale**2, 3, "tail")
    if scale > 1:
        x = PixelShuffle(scale, name="tail_shuffle")(x)
    return keras.Model(lr, denormalize(x), name="span")


def _block(x_in, num_filters, name):
    """Returns the output of a block, and that of its first convolution, activated."""
    x = first = _silu(conv(x_in, num_filters, 3, f"{name}_conv_1"), f"{name}_silu_1")
    x = _silu(conv(x, num_filters, 3, f"{name}_conv_2"), f"{name}_silu_2")
    x = conv(x, num_filters, 3, f"{name}_conv_3")
    attention = layers.Activation("sigmoid", name=f"{name}_sigmoid")(x)
    attention = layers.Rescaling(1, -0.5, name=f"{name}_shift")(attention)  # odd about zero, section 3.2
    x = layers.Add(name=f"{name}_add")([x_in, x])
    return layers.Multiply(name=f"{name}_attention")([x, attention]), first


def _silu(x, name):
    return layers.Activation("silu", name=name)(x)
