"""How alike two images are, as NumPy arrays: a metric is a function and a row in `METRICS`."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from choices import METRICS_ON_REQUEST
from evaluation.perceptual import dists, lpips, vgg54
from evaluation.ssim import image_ssim


class Metric(NamedTuple):
    """A metric, as it is computed, printed and written.

    Attributes:
        name: in files.
        label: in what is printed.
        function: from `hr` and `sr`, (H, W, channels) float32 as a `Protocol` prepares them, to a number.
        higher_is_better: whether the best model has the highest mean, or the lowest.
        decimals: in the table; single lines have 4.
        load: from a file of VGG19 weights to the function, where that needs a trained network; else None.
    """

    name: str
    label: str
    function: Callable | None
    higher_is_better: bool
    decimals: int
    load: Callable | None = None

    def protocol(self, protocol):
        """Returns the `Protocol` that the images are prepared by: trained networks are for RGB images."""
        return protocol if self.load is None else protocol._replace(channels="rgb")


def mean_squared_error(hr, sr):
    """Returns the mean squared difference of two images of the same shape, summed in float64."""
    difference = (hr - sr).ravel()
    return float(np.einsum("i,i", difference, difference, dtype=np.float64)) / difference.size


def psnr_of(mse):
    """Returns the PSNR in dB for a mean squared error of images in [0, 255]; infinite where that is 0."""
    return math.inf if mse == 0 else float(10 * np.log10(255.0**2 / mse))


def image_psnr(hr, sr):
    """Returns the PSNR in dB of two images (H, W, C) in [0, 255]; infinite where they are equal."""
    return psnr_of(mean_squared_error(hr, sr))


METRICS = (
    Metric("psnr", "PSNR", image_psnr, higher_is_better=True, decimals=3),
    Metric("ssim", "SSIM", image_ssim, higher_is_better=True, decimals=4),
    Metric("vgg54", "VGG54", None, higher_is_better=False, decimals=4, load=vgg54),
    Metric("lpips", "LPIPS", None, higher_is_better=False, decimals=4, load=lpips),
    Metric("dists", "DISTS", None, higher_is_better=False, decimals=4, load=dists),
)


def choose_metrics(requested=(), vgg_weights="imagenet"):
    """Returns the rows of `METRICS`, without those of `choices.METRICS_ON_REQUEST` whose names are not `requested`.

    Raises:
        UserError: the network of a metric, such as VGG19 with `vgg_weights`, cannot be loaded.
    """
    chosen = [metric for metric in METRICS if metric.name not in METRICS_ON_REQUEST or metric.name in requested]
    return [metric._replace(function=metric.load(vgg_weights)) if metric.load else metric for metric in chosen]
