"""Measuring networks on pairs of full-size images: samples, protocols, metrics, the work, and its report."""

from evaluation.banded import PSNRAndSSIM, compare_by_bands
from evaluation.complexity import Complexity, complexity_of
from evaluation.difference import compare
from evaluation.failures import Failures, reporting
from evaluation.measure import Evaluation, ImageCache, Result, Scores, measure, run_of
from evaluation.memory import peak_memory, reset_peak_memory
from evaluation.metrics import METRICS, Metric, choose_metrics, image_psnr, mean_squared_error
from evaluation.models import Bicubic, find_models, load_model
from evaluation.outputs import Existing, output_samples, saving
from evaluation.plan import DataSet, Plan
from evaluation.protocol import Protocol, y_channel
from evaluation.samples import DIV2KSample, Sample, dataset_samples, folder_samples
from evaluation.sets import ImageSet, image_sets
from evaluation.shared import Collected, Evaluator, Model, Part, shares_of
from evaluation.ssim import image_ssim

__all__ = [
    "METRICS", "Bicubic", "Collected", "Complexity", "DIV2KSample", "DataSet", "Evaluation", "Evaluator", "Existing",
    "Failures", "ImageCache", "ImageSet", "Metric", "Model", "PSNRAndSSIM", "Part", "Plan", "Protocol", "Result",
    "Sample", "Scores", "choose_metrics", "compare", "compare_by_bands", "complexity_of", "dataset_samples",
    "find_models", "folder_samples", "image_psnr", "image_sets", "image_ssim", "load_model", "mean_squared_error",
    "measure", "output_samples", "peak_memory", "reporting", "reset_peak_memory", "run_of", "saving", "shares_of",
    "y_channel",
]
