"""What is done with images, as plain data that other processes take, and how they do it."""

import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from super_resolution.existing import make_settings, sort_out


class Work(NamedTuple):
    """How images are super-resolved.

    Attributes:
        model: path of the model's file.
        scale, tile_size, precision, self_ensemble: as `super_resolution.load` takes them.
        factor: by which outputs are larger than their photos; None: the model's scale.
        strip: write no metadata.
        keep_fitting: keep outputs that fit; else all are made again.
        overwrite: replace files that no run has written, too.
        debug: show the traceback of each error.
    """

    model: Path
    scale: int | None = None
    tile_size: int | None = None
    precision: str = "float32"
    self_ensemble: bool = False
    factor: float | None = None
    strip: bool = False
    keep_fitting: bool = False
    overwrite: bool = False
    debug: bool = False

    def settings(self):
        """Returns what the outputs depend on besides their photos."""
        return make_settings(self.model, precision=self.precision, self_ensemble=self.self_ensemble,
                             factor=self.factor, strip=self.strip)

    def load(self):
        """Loads the model: returns a `SuperResolver`."""
        from super_resolution.loading import load  # Keras comes with it, whose backend is chosen before that

        return load(self.model, self.scale, tile_size=self.tile_size, precision=self.precision,
                    self_ensemble=self.self_ensemble)


class Outcome(NamedTuple):
    """What became of jobs.

    Attributes:
        num_done: images super-resolved; those that were there do not count.
        num_failed: images that failed, and were reported.
        again: `Counter` of the reasons why outputs that are there were made again.
        refused: texts, each of a job whose output may not be replaced; they are not reported yet.
    """

    num_done: int = 0
    num_failed: int = 0
    again: Counter = Counter()
    refused: list = []

    def plus(self, other):
        """Returns the outcome of both."""
        return Outcome(*(a + b for a, b in zip(self, other, strict=True)))


def do(work, super_resolve, jobs, sizes, bar):
    """Super-resolves the images of `jobs` and returns their `Outcome`.

    Args:
        work: `Work`, and `super_resolve` what its `load` returned.
        jobs: list of `Job`.
        sizes: of each job, its megapixels.
        bar: `tqdm` bar over megapixels, or `DistantBar`.
    """
    from super_resolution.batch import Batch

    factor, settings = work.factor or super_resolve.scale, work.settings()
    todo, _, refused, again = sort_out(jobs, settings, factor, {}, work.keep_fitting, work.overwrite)
    size_of = dict(zip(jobs, sizes, strict=True))
    batch = Batch(super_resolve, bar, debug=work.debug, factor=factor, settings=settings, strip=work.strip)
    batch.run(todo, [size_of[job] for job in todo])
    bar.update(sum(sizes) - sum(size_of[job] for job in todo))
    return Outcome(batch.num_done, batch.num_failed, again, refused)


class DistantBar:
    """Stands for a `tqdm` bar in another process: `send` takes messages there, which `show` shows."""

    def __init__(self, send):
        self.send, self.n = send, 0.0

    def update(self, amount):
        self.n += amount
        self.send(("update", amount))

    def set_description(self, text, refresh=True):
        self.send(("describe", text))

    def write(self, text, file):
        self.send(("write", text, file is sys.stderr))


def show(message, bar):
    """Does to a `tqdm` bar what a `DistantBar` was told."""
    kind, value, *is_error = message
    if kind == "update":
        bar.update(value)
    elif kind == "describe":
        bar.set_description(value, refresh=False)
    else:
        bar.write(value, file=sys.stderr if is_error[0] else sys.stdout)
