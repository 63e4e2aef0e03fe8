"""WDSR: Wide Activation for Efficient and Accurate Image Super-Resolution (Yu et al. 2018)."""

import keras
from keras import layers

from model.common import PixelShuffle, SymmetricPadding, builder, conv, denormalize, image_input, normalize

PADDINGS = ("symmetric", "valid", "same")
MARGIN = 2  # LR pixels that the 'valid' outer convolutions of each path take off every side


def wdsr_a(scale, num_filters=32, num_res_blocks=8, res_block_expansion=4, res_block_scaling=None,
           padding="symmetric"):
    """Builds WDSR-A (section 3.1): 3x3 convolution to `num_filters` x `res_block_expansion`, ReLU, 3x3 back.

    The arguments and the result are those of `wdsr_b`.
    """
    return _wdsr("wdsr_a", _res_block_a, scale, num_filters, num_res_blocks, res_block_expansion, res_block_scaling,
                 padding)


def wdsr_b(scale, num_filters=32, num_res_blocks=8, res_block_expansion=6, res_block_scaling=None,
           padding="symmetric"):
    """Builds WDSR-B (section 3.2): 1x1 convolution up, ReLU, 1x1 to 0.8 x `num_filters`, 3x3 to `num_filters`.

    Args:
        scale: 2, 3, 4 or 8.
        num_filters: filters between the residual blocks.
        num_res_blocks: residual blocks.
        res_block_expansion: how many times wider the features are before the activation.
        res_block_scaling: factor on each residual branch, or None.
        padding: of the outer convolutions (head and tail, and the skip's one). 'symmetric': the input is mirrored
            by 2 pixels, so that the output is `scale` times the input (for inference); 'valid': the output is
            smaller than that by 2 x scale on every side (for training); 'same': zero padding, as the official
            PyTorch version has it.

    Returns:
        An uncompiled `keras.Model`: RGB (N, H, W, 3) in [0, 255] in, (N, H scale, W scale, 3) out, not clipped.
    """
    return _wdsr("wdsr_b", _res_block_b, scale, num_filters, num_res_blocks, res_block_expansion, res_block_scaling,
                 padding)


@builder
def _wdsr(name, res_block, scale, num_filters, num_res_blocks, expansion, scaling, padding):
    if padding not in PADDINGS:
        raise ValueError(f"padding {padding} is not supported: choose {', '.join(PADDINGS)}")
    outer = "same" if padding == "same" else "valid"
    lr = x = image_input()
    if padding == "symmetric":
        x = SymmetricPadding(MARGIN, name="symmetric_padding", dtype="float32")(x)
    x_in = normalize(x)

    x = conv(x_in, num_filters, 3, "head", outer)
    for i in range(1, num_res_blocks + 1):
        residual = res_block(x, num_filters, expansion, f"block_{i}")
        if scaling:
            residual = layers.Rescaling(scaling, name=f"block_{i}_scaling")(residual)
        x = layers.Add(name=f"block_{i}_add")([x, residual])
    x = conv(x, 3 * scale**2, 3, "tail", outer)
    x = PixelShuffle(scale, name="tail_shuffle")(x)

    skip = conv(x_in, 3 * scale**2, 5, "skip", outer)
    skip = PixelShuffle(scale, name="skip_shuffle")(skip)
    sr = denormalize(layers.Add(name="add", dtype="float32")([x, skip]))
    return keras.Model(lr, sr, name=name)


def _res_block_a(x, num_filters, expansion, name):
    x = conv(x, num_filters * expansion, 3, f"{name}_expand")
    x = layers.ReLU(name=f"{name}_relu")(x)
    return conv(x, num_filters, 3, f"{name}_conv")


def _res_block_b(x, num_filters, expansion, name):
    x = conv(x, num_filters * expansion, 1, f"{name}_expand")
    x = layers.ReLU(name=f"{name}_relu")(x)
    x = conv(x, int(num_filters * 0.8), 1, f"{name}_reduce")  # 0.8: the linear low-rank convolution of section 3.2
    return conv(x, num_filters, 3, f"{name}_conv")
