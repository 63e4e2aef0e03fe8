"""Networks of SRGAN: Photo-Realistic Single Image Super-Resolution Using a GAN (Ledig et al. 2017)."""

import keras
from keras import layers

from model.common import PACKAGE, ColourKeeping, PixelShuffle, builder, conv, image_input

LEAKY_SLOPE = 0.2  # section 2.1.1


@builder
def sr_resnet(scale=4, num_filters=64, num_res_blocks=16):
    """Builds SRResNet, the generator of figure 4; the paper has it for scale 4 only.

    RGB (N, H, W, 3) in [0, 255] in, (N, 4 H, 4 W, 3) in [0, 255] out (tanh, scaled from [-1, 1]).
    """
    if scale != 4:
        raise ValueError(f"scale {scale} is not supported by SRResNet: choose 4")
    lr = image_input()
    x = layers.Rescaling(1 / 255, name="normalize", dtype="float32")(lr)
    x = head = _prelu(conv(x, num_filters, 9, "head"), "head_prelu")
    for i in range(1, num_res_blocks + 1):
        x = _res_block(x, num_filters, f"block_{i}")
    x = layers.BatchNormalization(momentum=0.8, name="body_end_bn")(conv(x, num_filters, 3, "body_end"))
    x = layers.Add(name="body_add")([head, x])
    for i in (1, 2):
        x = conv(x, num_filters * 4, 3, f"upsample_{i}")
        x = _prelu(PixelShuffle(2, name=f"upsample_{i}_shuffle")(x), f"upsample_{i}_prelu")
    x = layers.Activation("tanh", name="tanh", dtype="float32")(conv(x, 3, 9, "tail"))
    sr = layers.Rescaling(127.5, 127.5, name="denormalize", dtype="float32")(x)
    return keras.Model(lr, sr, name="sr_resnet")


@builder
def keep_colours(generator, scale, sigma=8.0):
    """Returns a generator whose output has the colours of its input, see `ColourKeeping`; the weights are shared.

    Adversarial training in features that hardly see colour lets flat areas drift by many levels.
    """
    (lr,), (sr,) = generator.inputs, generator.outputs
    kept = ColourKeeping(scale, sigma, name="colours", dtype="float32")([sr, lr])
    return keras.Model(lr, kept, name=generator.name)


@builder
def discriminator(hr_size=96, num_filters=64):
    """Builds the discriminator of figure 4: images (N, hr_size, hr_size, 3) in [0, 255] in, logits (N, 1) out.

    The paper's last sigmoid belongs to the loss: take it from the logits.

    Args:
        hr_size: a multiple of 16; it determines the size of the first dense layer.
        num_filters: filters of the first convolutions; the last have 8 times as many, the dense layer 16 times.
    """
    x = hr = layers.Input((hr_size, hr_size, 3), name="hr")
    x = layers.Rescaling(1 / 127.5, -1, name="normalize", dtype="float32")(x)
    for i, (factor, strides) in enumerate(((1, 1), (1, 2), (2, 1), (2, 2), (4, 1), (4, 2), (8, 1), (8, 2)), start=1):
        x = conv(x, factor * num_filters, 3, f"conv_{i}", strides=strides)
        if i > 1:
            x = layers.BatchNormalization(momentum=0.8, name=f"bn_{i}")(x)
        x = layers.LeakyReLU(LEAKY_SLOPE, name=f"leaky_relu_{i}")(x)
    x = layers.Dense(16 * num_filters, name="dense_1")(layers.Flatten(name="flatten")(x))
    x = layers.LeakyReLU(LEAKY_SLOPE, name="leaky_relu_dense")(x)
    logits = layers.Dense(1, name="dense_2", dtype="float32")(x)
    return keras.Model(hr, logits, name="discriminator")


def vgg_22(weights="imagenet"):
    """Builds the VGG19 features phi_2,2 (section 2.2.1): the output of `block2_conv2` after its activation.

    Images (N, H, W, 3) in [0, 255] in, feature maps (N, H / 2, W / 2, 128) out; not trainable.
    `weights` is 'imagenet' (downloaded by Keras), the path of a VGG19 'notop' file, or None (random).
    """
    return _vgg("block2_conv2", weights)


def vgg_54(weights="imagenet"):
    """Builds the VGG19 features phi_5,4: as `vgg_22`, with `block5_conv4` and (N, H / 16, W / 16, 512) out."""
    return _vgg("block5_conv4", weights)


@keras.saving.register_keras_serializable(package=PACKAGE)
class VGGPreprocessing(layers.Layer):
    """Maps RGB in [0, 255] to what VGG19 was trained on: BGR with ImageNet's mean subtracted."""

    def call(self, inputs):
        return keras.applications.vgg19.preprocess_input(inputs, data_format="channels_last")

    def compute_output_shape(self, input_shape):
        return input_shape


@builder
def _vgg(layer_name, weights):
    vgg = keras.applications.VGG19(include_top=False, weights=weights, input_shape=(None, None, 3))
    features = keras.Model(vgg.input, vgg.get_layer(layer_name).output)
    image = layers.Input((None, None, 3), name="image")
    model = keras.Model(image, features(VGGPreprocessing(name="preprocess", dtype="float32")(image)),
                        name=f"vgg19_{layer_name}")
    model.trainable = False
    return model


def _res_block(x_in, num_filters, name):
    x = conv(x_in, num_filters, 3, f"{name}_conv_1")
    x = _prelu(layers.BatchNormalization(momentum=0.8, name=f"{name}_bn_1")(x), f"{name}_prelu")
    x = conv(x, num_filters, 3, f"{name}_conv_2")
    x = layers.BatchNormalization(momentum=0.8, name=f"{name}_bn_2")(x)
    return layers.Add(name=f"{name}_add")([x_in, x])


def _prelu(x, name):
    return layers.PReLU(shared_axes=(1, 2), name=name)(x)
