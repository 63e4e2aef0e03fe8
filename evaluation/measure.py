"""Measuring networks on pairs of full-size images."""

import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from errors import UserError
from evaluation.metrics import image_psnr, image_ssim
from imaging.resize import imresize

PENDING_SCORES = 2  # images whose scores may be computed while the network goes on
CACHE_BYTES = 1 << 30  # of images that are kept for the next model


class Bicubic:
    """Enlarges images as MATLAB's `imresize` does: the base line that every network is compared with."""

    def __init__(self, scale, border):
        self.scale, self.border = scale, border

    def __call__(self, lr):
        return imresize(lr, self.scale, self.border)


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
