"""Measuring networks on pairs of full-size images: samples, protocols, metrics, the work, and its report."""

from evaluation.banded import PSNRAndSSIM, compare_by_bands
from evaluation.failures import Failures, reporting
from evaluation.measure import Evaluation, ImageCache, Result, Scores, measure
from evaluation.metrics import METRICS, Metric, choose_metrics, image_psnr, image_ssim, mean_squared_error
from evaluation.models import Bicubic, find_models, load_models, with_bicubic
from evaluation.protocol import Protocol, y_channel
from evaluation.samples import DIV2KSample, Sample, dataset_samples, folder_samples

__all__ = [
    "METRICS", "Bicubic", "DIV2KSample", "Evaluation", "Failures", "ImageCache", "Metric", "PSNRAndSSIM", "Protocol",
    "Result", "Sample", "Scores", "choose_metrics", "compare_by_bands", "dataset_samples", "find_models",
    "folder_samples", "image_psnr", "image_ssim", "load_models", "mean_squared_error", "measure",
    "reporting", "with_bicubic", "y_channel",
]
