"""The compact network of Real-ESRGAN (Wang et al. 2021, and its code): a chain of convolutions, called Compact."""

import keras
from keras import layers

from model.common import PixelShuffle, builder, conv, image_input


@builder
def srvgg(scale, num_filters=64, num_res_blocks=16):
    """Builds SRVGGNetCompact: convolutions and PReLUs; what they make is added to the image, enlarged by repetition.

    Args:
        scale: 1, 2, 3, 4 or 8.
        num_filters: filters of every convolution but the last.
        num_res_blocks: convolutions between the first and the last.

    Returns:
        An uncompiled `keras.Model`: RGB (N, H, W, 3) in [0, 255] in, (N, H scale, W scale, 3) out, not clipped.
    """
    lr = base = image_input()
    x = layers.Rescaling(1 / 255, name="normalize", dtype="float32")(lr)
    x = _prelu(conv(x, num_filters, 3, "head"), "head_prelu")
    for i in range(1, num_res_blocks + 1):
        x = _prelu(conv(x, num_filters, 3, f"block_{i}_conv"), f"block_{i}_prelu")
    x = conv(x, 3 * scale**2, 3, "tail")
    if scale > 1:
        x = PixelShuffle(scale, name="tail_shuffle")(x)
        base = layers.UpSampling2D(scale, interpolation="nearest", name="enlarged", dtype="float32")(lr)
    x = layers.Rescaling(255, name="denormalize", dtype="float32")(x)
    return keras.Model(lr, layers.Add(name="add", dtype="float32")([base, x]), name="srvgg")


def _prelu(x, name):
    return layers.PReLU(shared_axes=(1, 2), name=name)(x)
