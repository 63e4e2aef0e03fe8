"""Measuring what enlarges images, networks and bicubic interpolation, on pairs of full-size images."""

import functools
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from errors import UserError
from evaluation.complexity import Complexity
from evaluation.failures import reporting
from evaluation.metrics import choose_metrics

PENDING_SCORES = 2  # images whose scores may be computed while the network goes on
CACHE_BYTES = 1 << 30  # of images that are kept for the next model


class Scores(NamedTuple):
    """What `measure` found.

    Attributes:
        images: one dict an image that was measured: 'image', 'hr', 'lr', and each metric's name.
        seconds: that the enlarging of all of them took.
        metrics: list of `Metric`.
        num_failed: images that could not be measured.
    """

    images: list
    seconds: float
    metrics: list
    num_failed: int = 0

    def mean(self, name):
        """Returns the mean of a metric over the images that were measured."""
        return float(np.mean([row[name] for row in self.images]))


class Result(NamedTuple):
    """The `Scores` of a model, or of bicubic interpolation, which has no parameters (None).

    `images` is the name of the set of images, None where there is but one, and `complexity` is a `Complexity`, None
    where it was not asked for; so is `peak_mib`, the peak of `peak_memory` in the meantime.
    """

    name: str
    scale: int
    num_parameters: int | None
    scores: Scores
    images: str | None = None
    complexity: Complexity | None = None
    peak_mib: float | None = None

    @property
    def is_model(self):
        """Whether it is a model's, and not that of the base line."""
        return self.num_parameters is not None


class Evaluation:
    """Measures one model after the other on the same images, which stay in memory as far as there is room.

    Args:
        samples_of: function from a scale to the list of samples.
        protocol: `Protocol`.
        metrics: list of `Metric`.
        on_failure, on_output: as for `measure`.
        name: of the set of images, None where there is but one.
    """

    def __init__(self, samples_of, protocol, metrics, on_failure=None, on_output=None, name=None):
        self.samples_of, self.protocol, self.metrics = functools.cache(samples_of), protocol, metrics
        self.on_failure, self.on_output, self.name, self.cache = on_failure, on_output, name, ImageCache()

    def result(self, enlarge, progress=lambda samples: samples):
        """Returns the `Result` of a `SuperResolver` or of `Bicubic`; `progress` wraps the samples.

        Raises:
            UserError: there are no samples, or none of them could be measured.
        """
        scores = measure(enlarge, self.samples_of(enlarge.scale), self.protocol, self.metrics, self.cache, progress,
                         self.on_failure, self.on_output)
        require_scores(enlarge.name, scores)
        return Result(enlarge.name, enlarge.scale, enlarge.num_parameters, scores, self.name)

    def part(self, enlarge, number, total, progress):
        """Measures the images of part `number` of `total`, a run of them, which `progress` wraps.

        Returns:
            Their `Result`, which may have no image, and what `enlarge` refused, as `measure_all` does.
        """
        own = run_of(self.samples_of(enlarge.scale), number, total)
        scores, refused = measure_all(enlarge, own, self.protocol, self.metrics, self.cache, progress,
                                      self.on_failure, self.on_output)
        return Result(enlarge.name, enlarge.scale, enlarge.num_parameters, scores, self.name), refused


def run_of(items, number, total):
    """Returns run `number` of `total`, counted from 1, into which a list is cut."""
    return items[len(items) * (number - 1) // total:len(items) * number // total]


def require_scores(name, scores):
    """Raises a `UserError` where not one image could be measured with the model `name`."""
    if not scores.images:
        raise UserError(f"{name}: none of the {scores.num_failed} images could be measured")


class ImageCache:
    """Keeps what was read and prepared of images for the next model, up to a number of bytes."""

    def __init__(self, max_bytes=CACHE_BYTES):
        self.free, self.entries = max_bytes, {}

    def load(self, sample, scale, protocols):
        """Returns `hr` of a sample as a dict, prepared by each of the `protocols`, which share a border; and `lr`."""
        key = sample, scale, protocols
        if key in self.entries:
            return self.entries[key]
        hr, lr = sample.load(scale)
        prepared = {protocol: protocol.prepare(hr, scale) for protocol in protocols}
        if not all(image.size for image in prepared.values()):
            raise UserError(f"{sample.hr}: nothing is left without the border of "
                            f"{protocols[0].border_pixels(scale)} pixels")
        size = sum(image.nbytes for image in prepared.values()) + lr.nbytes
        if size <= self.free:
            self.free -= size
            self.entries[key] = prepared, lr
        return prepared, lr


def measure(enlarge, samples, protocol, metrics=None, cache=None, progress=lambda samples: samples, on_failure=None,
            on_output=None):
    """Enlarges every sample and compares the result with its high-resolution image.

    The next image is read, and the last ones are scored, while the network works.

    Args:
        enlarge: function from `lr` to `sr`, with a `scale` and a `name`.
        samples: list of samples.
        protocol: `Protocol`.
        metrics: list of `Metric`; by default those that need not be asked for.
        cache: `ImageCache` that is used for several models.
        progress: wraps the samples to show how far it is.
        on_failure: function of what failed (the path of an image, or the model's name with it) and the exception; the
            other images are measured. By default the exception is raised.
        on_output: function of each sample, the model's name and its output.

    Returns:
        `Scores`.

    Raises:
        Exception: whatever `enlarge` raised, where it could not enlarge a single image.
    """
    scores, refused = measure_all(enlarge, samples, protocol, metrics, cache, progress, on_failure, on_output)
    if refused and not scores.images:
        raise refused[0][1]
    for subject, error in refused:
        on_failure(subject, error)
    return scores


def measure_all(enlarge, samples, protocol, metrics=None, cache=None, progress=lambda samples: samples,
                on_failure=None, on_output=None):
    """Does what `measure` does, whose arguments it takes, and leaves to the caller what `enlarge` could not do.

    Returns:
        `Scores`, and a list of what `on_failure` takes: it is the fault of these images, or of the network where it is
        all of them.
    """
    cache = cache or ImageCache(max_bytes=0)
    metrics = choose_metrics() if metrics is None else metrics
    protocols = tuple(dict.fromkeys(metric.protocol(protocol) for metric in metrics))
    rows, seconds = [], 0.0
    pending = deque()
    refused = []
    note = None if on_failure is None else lambda subject, error: refused.append((subject, error))

    def finish(sample, score):
        with reporting(f"{enlarge.name}: {sample.hr}", note):
            rows.append(_row(sample, score.result()))

    loaded = _loaded(samples, lambda sample: cache.load(sample, enlarge.scale, protocols), progress, on_failure)
    with ThreadPoolExecutor(PENDING_SCORES) as scorer:
        for (sample, hr, lr), enlarged in _computed(enlarge, loaded):
            with reporting(f"{enlarge.name}: {sample.hr}", note):
                start = time.perf_counter()
                sr = enlarged() if enlarged else enlarge(lr)
                seconds += time.perf_counter() - start
                if on_output is not None:
                    on_output(sample, enlarge.name, sr)
                pending.append((sample, scorer.submit(_score, hr, sr, enlarge.scale, protocol, metrics)))
            if len(pending) > PENDING_SCORES:
                finish(*pending.popleft())
        for one in pending:
            finish(*one)
    return Scores(rows, seconds, metrics, len(samples) - len(rows)), refused


def _loaded(samples, load, progress, on_failure):
    """Yields each sample with the two images that `load` returns, while those of the next one are being read.

    Samples that cannot be loaded are left out.
    """
    if not samples:
        return
    with ThreadPoolExecutor(1) as reader:
        loading = reader.submit(load, samples[0])
        for i, sample in enumerate(progress(samples)):
            images = None
            with reporting(sample.hr, on_failure):
                images = loading.result()
            if i + 1 < len(samples):
                loading = reader.submit(load, samples[i + 1])
            if images is not None:
                yield sample, *images


def _computed(enlarge, loaded):
    """Yields what `_loaded` yields with a function that returns its enlarged image, or None: `enlarge` does it then."""
    if hasattr(enlarge, "each"):
        return enlarge.each(loaded, lambda images: images[2].astype(np.float32))
    return ((images, None) for images in loaded)


def _score(hr, sr, scale, protocol, metrics):
    """Returns the figure of each metric of `sr`, and of `hr`, a dict of what protocols have made of it."""
    sr = {each: each.prepare(sr, scale) for each in hr}
    chosen = [(metric, metric.protocol(protocol)) for metric in metrics]
    return {metric.name: metric.function(hr[each], sr[each]) for metric, each in chosen}


def _row(sample, score):
    return {"image": sample.name, "hr": str(sample.hr), "lr": str(sample.lr) if sample.lr else None, **score}
