"""What is done with images, as plain data that other processes take, and how they do it: a work of `sharing`."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from super_resolution.existing import fitting, make_settings, sort_out

ENGINE_NOTES = {"keras": "", "openvino": ", computed by OpenVINO"}  # of what is said of a model


class Work(NamedTuple):
    """How images are super-resolved.

    Attributes:
        model: path of the model's file.
        scale, tile_size, precision, self_ensemble, engine: as `super_resolution.load` takes them.
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
    engine: str = "auto"

    JOBS = "images"

    def settings(self):
        """Returns what the outputs depend on besides their photos."""
        return make_settings(self.model, precision=self.precision, self_ensemble=self.self_ensemble,
                             factor=self.factor, strip=self.strip)

    def load(self, _=None):
        """Returns a `SuperResolver` of the model."""
        from super_resolution.loading import load  # Keras comes with it, whose backend is chosen before that

        return load(self.model, self.scale, tile_size=self.tile_size, precision=self.precision,
                    self_ensemble=self.self_ensemble, engine=self.engine)

    def do(self, super_resolve, jobs, sizes, bar):
        """Super-resolves images and returns their `Outcome`.

        Args:
            super_resolve: `SuperResolver`.
            jobs: list of `Job`.
            sizes: of each job, its megapixels.
            bar: `tqdm` bar over megapixels, or a `DistantBar`.
        """
        from super_resolution.batch import Batch

        factor, settings = self.factor or super_resolve.scale, self.settings()
        todo, _, refused, again = sort_out(jobs, settings, factor, {}, self.keep_fitting, self.overwrite)
        size_of = dict(zip(jobs, sizes, strict=True))
        batch = Batch(super_resolve, bar, debug=self.debug, factor=factor, settings=settings, strip=self.strip)
        batch.run(todo, [size_of[job] for job in todo])
        bar.update(sum(sizes) - sum(size_of[job] for job in todo))
        return Outcome(batch.num_done, batch.num_failed, again, refused)

    def title(self, super_resolve, jobs):
        """Returns what is said where a process begins with jobs."""
        return (f"{super_resolve.name}: x{super_resolve.scale}, {len(jobs)} images"
                f"{ENGINE_NOTES[super_resolve.engine]}")

    def label(self, job):
        """Returns the path of a job's image."""
        return str(job.source)

    def lost(self, jobs):
        """Returns how many outputs of a process that ended are not there, and the `Outcome`."""
        settings = self.settings()
        num_done = sum(fitting([job], settings) for job in jobs)
        return len(jobs) - num_done, Outcome(num_done, len(jobs) - num_done)


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
