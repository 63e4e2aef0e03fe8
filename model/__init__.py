"""The networks, their metrics and their files. Importing this package registers every layer for loading."""

import keras

from model.common import PixelShuffle, SymmetricPadding
from model.edsr import edsr
from model.loading import SCALES, copy_weights, load_model, model_scale, save_model
from model.losses import LOSSES, pixel_loss
from model.metrics import Protocol, crop_margin, image_psnr, image_ssim, psnr, y_channel
from model.precision import mixed_bfloat16
from model.receptive import largest_layer, receptive_radius, split_tail
from model.srgan import discriminator, sr_resnet, vgg_22, vgg_54
from model.wdsr import wdsr_a, wdsr_b

# The networks are NHWC and float32 whatever a user's ~/.keras/keras.json says.
keras.config.set_image_data_format("channels_last")
keras.config.set_floatx("float32")

__all__ = [
    "LOSSES", "SCALES", "PixelShuffle", "Protocol", "SymmetricPadding", "copy_weights", "crop_margin",
    "discriminator", "edsr", "image_psnr", "image_ssim", "largest_layer", "load_model", "mixed_bfloat16",
    "model_scale", "pixel_loss", "psnr", "receptive_radius", "save_model", "split_tail", "sr_resnet", "vgg_22",
    "vgg_54", "wdsr_a", "wdsr_b", "y_channel",
]
