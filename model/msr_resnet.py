"""MSRResNet: SRResNet without batch normalization, as BasicSR has it (Wang et al. 2018, ESRGAN's code)."""

import keras
from keras import layers

from model.common import BilinearEnlarging, PixelShuffle, builder, conv, image_input

LEAKY_SLOPE = 0.1


@builder
def msr_resnet(scale, num_filters=64, num_res_blocks=16):
    """Builds MSRResNet: what its blocks make is added to the image, enlarged bilinearly.

    Args:
        scale: 2, 3 or 4.
        num_filters: filters of every convolution but the last.
        num_res_blocks: residual blocks.

    Returns:
        An uncompiled `keras.Model`: RGB (N, H, W, 3) in [0, 255] in, (N, H scale, W scale, 3) out, not clipped.
    """
    if scale not in (2, 3, 4):
        raise ValueError(f"scale {scale} is not supported by MSRResNet: choose 2, 3 or 4")
    lr = image_input()
    x = layers.Rescaling(1 / 255, name="normalize", dtype="float32")(lr)
    x = _leaky_relu(conv(x, num_filters, 3, "head"), "head_relu")
    for i in range(1, num_res_blocks + 1):
        x = _res_block(x, num_filters, f"block_{i}")
    for i, factor in enumerate((2, 2) if scale == 4 else (scale,), start=1):
        x = conv(x, num_filters * factor**2, 3, f"upsample_{i}")
        x = _leaky_relu(PixelShuffle(factor, name=f"upsample_{i}_shuffle")(x), f"upsample_{i}_relu")
    x = conv(_leaky_relu(conv(x, num_filters, 3, "tail_hr"), "tail_hr_relu"), 3, 3, "tail")
    x = layers.Rescaling(255, name="denormalize", dtype="float32")(x)
    base = BilinearEnlarging(scale, name="enlarged", dtype="float32")(lr)
    return keras.Model(lr, layers.Add(name="add", dtype="float32")([base, x]), name="msr_resnet")


def _res_block(x_in, num_filters, name):
    x = layers.ReLU(name=f"{name}_relu")(conv(x_in, num_filters, 3, f"{name}_conv_1"))
    return layers.Add(name=f"{name}_add")([x_in, conv(x, num_filters, 3, f"{name}_conv_2")])


def _leaky_relu(x, name):
    return layers.LeakyReLU(LEAKY_SLOPE, name=name)(x)
