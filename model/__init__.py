"""The networks and their losses. Importing this package registers every layer for loading, and sets nothing."""

from model.common import (
    BilinearEnlarging,
    ColourKeeping,
    CropToImage,
    PixelShuffle,
    PixelUnshuffle,
    SymmetricPadding,
)
from model.edsr import edsr, edsr_gen
from model.losses import LOSSES, feature_distance, pixel_loss
from model.metrics import crop_margin, psnr
from model.msr_resnet import msr_resnet
from model.networks import NETWORKS, build_network
from model.rrdb import rrdb
from model.span import span
from model.srgan import discriminator, keep_colours, sr_resnet, vgg_22, vgg_54
from model.srvgg import srvgg
from model.wdsr import wdsr_a, wdsr_b

__all__ = [
    "LOSSES", "NETWORKS", "BilinearEnlarging", "ColourKeeping", "CropToImage", "PixelShuffle", "PixelUnshuffle",
    "SymmetricPadding", "build_network", "crop_margin", "discriminator", "edsr", "edsr_gen", "feature_distance",
    "keep_colours", "msr_resnet", "pixel_loss", "psnr", "rrdb", "span", "sr_resnet", "srvgg", "vgg_22", "vgg_54",
    "wdsr_a", "wdsr_b",
]
