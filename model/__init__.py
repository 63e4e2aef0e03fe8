"""The networks and their losses. Importing this package registers every layer for loading, and sets nothing."""

from model.common import ColourKeeping, PixelShuffle, SymmetricPadding
from model.edsr import edsr, edsr_gen
from model.losses import LOSSES, pixel_loss
from model.metrics import crop_margin, psnr
from model.networks import NETWORKS, build_network
from model.srgan import discriminator, keep_colours, sr_resnet, vgg_22, vgg_54
from model.wdsr import wdsr_a, wdsr_b

__all__ = [
    "LOSSES", "NETWORKS", "ColourKeeping", "PixelShuffle", "SymmetricPadding", "build_network", "crop_margin",
    "discriminator", "edsr", "edsr_gen", "keep_colours", "pixel_loss", "psnr", "sr_resnet", "vgg_22", "vgg_54",
    "wdsr_a", "wdsr_b",
]
