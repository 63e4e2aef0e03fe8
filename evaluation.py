"""Measuring networks on pairs of full-size images."""

import re
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datasets.div2k import ImagePair, find_pairs, load_pair
from errors import UserError
from imaging.image_files import find_images, read_image
from imaging.resize import downscale, imresize
from model import image_psnr, image_ssim

PENDING_SCORES = 2  # images whose scores may be computed while the network goes on
CACHE_BYTES = 1 << 30  # of images that are kept for the next model


class Sample(NamedTuple):
    """A high-resolution image, and its low-resolution version as a file or made of it."""

    name: str
    hr: Path
    lr: Path | None
    border: str = "replicate"

    def load(self, scale):
        """Returns `hr`, cropped to a multiple of `scale`, and `lr`, (H, W, 3) uint8."""
        hr = read_image(self.hr)
        if min(hr.shape[:2]) < scale:
            raise UserError(f"{self.hr}: is {hr.shape[0]} x {hr.shape[1]}, too small for scale {scale}")
        hr = hr[:hr.shape[0] // scale * scale, :hr.shape[1] // scale * scale]
        if self.lr is None:
            return hr, downscale(hr, scale, self.border)
        lr = read_image(self.lr)
        if (lr.shape[0] * scale, lr.shape[1] * scale) != hr.shape[:2]:
            raise UserError(f"{self.lr}: is {lr.shape[0]} x {lr.shape[1]}, which times {scale} is not the "
                            f"{hr.shape[0]} x {hr.shape[1]} of {self.hr}, cropped to a multiple of {scale}")
        return hr, lr


class DIV2KSample(NamedTuple):
    """A pair of arrays of a data set."""

    pair: ImagePair

    name = property(lambda self: f"{self.pair.image_id:04d}")
    hr = property(lambda self: self.pair.hr.path)
    lr = property(lambda self: self.pair.lr.path)

    def load(self, scale):
        """Returns `hr`, cropped to a multiple of `scale`, and `lr`, (H, W, 3) uint8."""
        return load_pair(self.pair, scale)


class Bicubic:
    """Enlarges images as MATLAB's `imresize` does: the base line that every network is compared with."""

    def __init__(self, scale, border):
        self.scale, self.border = scale, border

    def __call__(self, lr):
        return imresize(lr, self.scale, self.border)


def dataset_samples(dataset, downgrade, scale, ids=None):
    """Returns the validation images of a data set as samples."""
    return [DIV2KSample(pair) for pair in find_pairs(dataset, "valid", scale, downgrade, ids)]


def folder_samples(hr_folder, lr_folder, scale, border):
    """Returns the images of a folder as samples.

    Args:
        hr_folder: folder of high-resolution images.
        lr_folder: folder of their low-resolution versions, or one with a folder XS for each scale S; None to make
            them by MATLAB's bicubic. They are paired by name, without what is usually added to it (x4, _LRBI_x4,
            _SRF_4_LR, ...), else, where the numbers are equal, in the order of the names.
        scale: 2, 3 or 4.
        border: of the low-resolution images that are made, 'replicate' or 'symmetric'.
    """
    hr_paths = find_images(hr_folder)
    if lr_folder is None:
        return [Sample(path.stem, path, None, border) for path in hr_paths]
    if (lr_folder / f"X{scale}").is_dir():
        lr_folder = lr_folder / f"X{scale}"
    lr_paths = find_images(lr_folder)
    lr_by_name = {plain_name(path): path for path in lr_paths}
    if all(plain_name(path) in lr_by_name for path in hr_paths):
        lr_paths = [lr_by_name[plain_name(path)] for path in hr_paths]
    elif len(lr_paths) != len(hr_paths):
        missing = next(path for path in hr_paths if plain_name(path) not in lr_by_name)
        raise UserError(f"{lr_folder}: holds {len(lr_paths)} images for the {len(hr_paths)} of {hr_folder}, and none "
                        f"is named after {missing.name}")
    return [Sample(hr.stem, hr, lr) for hr, lr in zip(hr_paths, lr_paths, strict=True)]


def plain_name(path):
    """Returns an image's name without what data sets add to it for scale and resolution."""
    name = path.stem.lower()
    while True:
        shorter = re.sub(r"([_-]?x\d|[_-](lrbi|lr|hr|gt|bicubic|srf_\d|sr))$", "", name)
        if shorter == name or not shorter:
            return name
        name = shorter


class Scores(NamedTuple):
    """What `measure` found: one dict an image ('image', 'hr', 'lr', 'psnr' in dB, 'ssim'), and the network's time."""

    images: list
    seconds: float

    def mean(self, name):
        """Returns the mean of 'psnr' or 'ssim' over the images."""
        return float(np.mean([row[name] for row in self.images]))


class ImageCache:
    """Keeps what was read and prepared of images for the next model, up to a number of bytes."""

    def __init__(self, max_bytes=CACHE_BYTES):
        self.free, self.entries = max_bytes, {}

    def load(self, sample, scale, protocol):
        """Returns `hr`, prepared by `protocol`, and `lr` of a sample."""
        key = sample, scale, protocol
        if key in self.entries:
            return self.entries[key]
        hr, lr = sample.load(scale)
        hr = protocol.prepare(hr, scale)
        if hr.size == 0:
            raise UserError(f"{sample.hr}: nothing is left without the border of "
                            f"{protocol.border_pixels(scale)} pixels")
        if hr.nbytes + lr.nbytes <= self.free:
            self.free -= hr.nbytes + lr.nbytes
            self.entries[key] = hr, lr
        return hr, lr


def measure(super_resolve, samples, protocol, with_ssim=False, cache=None, progress=lambda samples: samples):
    """Super-resolves every sample and compares the result with its high-resolution image.

    The next image is read, and the last ones are scored, while the network works.

    Args:
        super_resolve: function from `lr` to `sr`, with a `scale`.
        samples: list of samples.
        protocol: `Protocol`.
        with_ssim: compute SSIM as well.
        cache: `ImageCache` that is used for several models.
        progress: wraps the samples to show how far it is.

    Returns:
        `Scores`.
    """
    cache = cache or ImageCache(max_bytes=0)
    scale, rows, seconds, pending = super_resolve.scale, [], 0.0, deque()
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(PENDING_SCORES) as scorer:
        loading = reader.submit(cache.load, samples[0], scale, protocol)
        for i, sample in enumerate(progress(samples)):
            hr, lr = loading.result()
            if i + 1 < len(samples):
                loading = reader.submit(cache.load, samples[i + 1], scale, protocol)
            start = time.perf_counter()
            sr = super_resolve(lr)
            seconds += time.perf_counter() - start
            pending.append((sample, scorer.submit(_score, hr, sr, scale, protocol, with_ssim)))
            if len(pending) > PENDING_SCORES:
                rows.append(_row(*pending.popleft()))
        rows += [_row(*one) for one in pending]
    return Scores(rows, seconds)


def _score(hr, sr, scale, protocol, with_ssim):
    sr = protocol.prepare(sr, scale)
    return {"psnr": image_psnr(hr, sr), **({"ssim": image_ssim(hr, sr)} if with_ssim else {})}


def _row(sample, score):
    return {"image": sample.name, "hr": str(sample.hr), "lr": str(sample.lr) if sample.lr else None, **score.result()}
