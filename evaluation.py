"""Measuring a network on pairs of full-size images."""

from datasets.div2k import load_pair
from model import psnr


def pair_psnr(super_resolve, pair):
    """Returns the PSNR in dB of a super-resolved `ImagePair`, as `model.psnr` defines it."""
    hr, lr = load_pair(pair, super_resolve.scale)
    return float(psnr(hr[None], super_resolve(lr)[None])[0])
