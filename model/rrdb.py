"""RRDB, the network of ESRGAN (Wang et al. 2018), also as Real-ESRGAN has it for x1 and x2."""

import keras
from keras import layers

from model.common import CropToImage, PixelUnshuffle, builder, conv, image_input

LEAKY_SLOPE = 0.2
RESIDUAL_SCALING = 0.2  # section 3.1
DENSE_BLOCKS = 3  # of an RRDB, figure 4
DENSE_CONVS = 5


@builder
def rrdb(scale, num_filters=64, num_res_blocks=23, growth=32, unshuffle=1):
    """Builds ESRGAN's generator (figure 4). RGB (N, H, W, 3) in [0, 255] in, (N, H scale, W scale, 3) out.

    Args:
        scale: 1, 2, 4 or 8.
        num_filters: filters between the blocks.
        num_res_blocks: residual-in-residual dense blocks.
        growth: filters that each convolution of a dense block adds.
        unshuffle: 1, 2 or 4: the blocks work at a resolution that is so many times lower, with as much more of
            channels at the start (Real-ESRGAN: 4 for x1, 2 for x2). Sizes that are no multiple of it are mirrored at
            the right and at the bottom.

    Returns:
        An uncompiled `keras.Model`; its output is not clipped.
    """
    num_steps = (scale * unshuffle).bit_length() - 1
    if scale * unshuffle != 2**num_steps or unshuffle not in (1, 2, 4):
        raise ValueError(f"scale {scale} with unshuffle {unshuffle} is not supported by RRDB: choose powers of 2")
    lr = image_input()
    x = layers.Rescaling(1 / 255, name="normalize", dtype="float32")(lr)
    if unshuffle > 1:
        x = PixelUnshuffle(unshuffle, name="unshuffle", dtype="float32")(x)
    x = head = conv(x, num_filters, 3, "head")
    for i in range(1, num_res_blocks + 1):
        x = _rrdb(x, num_filters, growth, f"block_{i}")
    x = layers.Add(name="body_add")([head, conv(x, num_filters, 3, "body_end")])
    for i in range(1, num_steps + 1):
        x = layers.UpSampling2D(2, interpolation="nearest", name=f"upsample_{i}_nearest")(x)
        x = _leaky_relu(conv(x, num_filters, 3, f"upsample_{i}"), f"upsample_{i}_relu")
    x = _leaky_relu(conv(x, num_filters, 3, "tail_hr"), "tail_hr_relu")
    sr = layers.Rescaling(255, name="denormalize", dtype="float32")(conv(x, 3, 3, "tail"))
    if unshuffle > 1:
        sr = CropToImage(scale, name="crop", dtype="float32")([sr, lr])
    return keras.Model(lr, sr, name="rrdb")


def _rrdb(x_in, num_filters, growth, name):
    x = x_in
    for i in range(1, DENSE_BLOCKS + 1):
        x = _dense_block(x, num_filters, growth, f"{name}_rdb_{i}")
    x = layers.Rescaling(RESIDUAL_SCALING, name=f"{name}_scaling")(x)
    return layers.Add(name=f"{name}_add")([x_in, x])


def _dense_block(x_in, num_filters, growth, name):
    features = [x_in]
    for i in range(1, DENSE_CONVS):
        x = features[0] if i == 1 else layers.Concatenate(name=f"{name}_concat_{i}")(features)
        features.append(_leaky_relu(conv(x, growth, 3, f"{name}_conv_{i}"), f"{name}_relu_{i}"))
    x = layers.Concatenate(name=f"{name}_concat_{DENSE_CONVS}")(features)
    x = conv(x, num_filters, 3, f"{name}_conv_{DENSE_CONVS}")
    x = layers.Rescaling(RESIDUAL_SCALING, name=f"{name}_scaling")(x)
    return layers.Add(name=f"{name}_add")([x_in, x])


def _leaky_relu(x, name):
    return layers.LeakyReLU(LEAKY_SLOPE, name=name)(x)
