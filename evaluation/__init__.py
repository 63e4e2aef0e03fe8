"""Measuring networks on pairs of full-size images: samples, metrics, the work, and its report."""

from evaluation.measure import Bicubic, ImageCache, Scores, measure
from evaluation.metrics import Protocol, image_psnr, image_ssim, y_channel
from evaluation.samples import DIV2KSample, Sample, dataset_samples, folder_samples, plain_name

__all__ = [
    "Bicubic", "DIV2KSample", "ImageCache", "Protocol", "Sample", "Scores", "dataset_samples", "folder_samples",
    "image_psnr", "image_ssim", "measure", "plain_name", "y_channel",
]
