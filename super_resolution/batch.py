"""Super-resolving files, one after the other: what is to be written where, and the work."""

import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from errors import UserError, describe, printable
from imaging.limits import check_output
from imaging.photos import Photo, read_photo, write_photo

WRITE_AHEAD = 256 << 20  # bytes of two outputs, up to which one is written while the next is computed
MEGA = 1e6


class Job(NamedTuple):
    """An image to be super-resolved.

    Attributes:
        source: path of the image.
        name: of the image, to be shown.
        target: path to write the super-resolved image to.
    """

    source: Path
    name: str
    target: Path


class Loaded(NamedTuple):
    """What was read for a `Job`: its image, the super-resolved one of an earlier run or None, and what the observer
    prepared."""

    photo: Photo
    sr: np.ndarray | None
    prepared: object


class Writing(NamedTuple):
    """An output that is being written."""

    job: Job
    bytes: int
    future: object


def plan(paths, indir, outdir, suffix=None):
    """Returns the `Job`s for the images `paths` below `indir`: NAME.EXT becomes NAME-sr.EXT below `outdir`.

    What is itself an output of one of the images, from an earlier run, is left out.

    Args:
        paths: list of paths.
        indir: folder.
        outdir: folder.
        suffix: of the outputs, such as '.png'; None: that of the input.

    Raises:
        UserError: two images would become the same file.
    """
    jobs = []
    for path in paths:
        name = path.relative_to(indir)
        jobs.append(Job(path, str(name), outdir / name.with_name(f"{path.stem}-sr{suffix or path.suffix}")))
    jobs = without_outputs(jobs, [job.target for job in jobs])
    sources = {}
    for job in jobs:
        if job.target in sources:
            raise UserError(f"{sources[job.target]} and {job.source} would both be written to {job.target}: rename "
                            "one, or leave out --format")
        sources[job.target] = job.source
    return jobs


def without_outputs(jobs, outputs):
    """Returns the jobs whose source is none of the paths `outputs`, which an earlier run may have written."""
    outputs = {path.resolve() for path in outputs}
    return [job for job in jobs if job.source.resolve() not in outputs]


class Batch:
    """Super-resolves files. The next one is read and the last one is written while the network works.

    A file that fails is reported on stderr, and the others are done.

    Args:
        super_resolve: `SuperResolver`.
        bar: `tqdm` bar over megapixels of the inputs.
        observer: is told of each image: `prepare(job, photo)`, before there is any work, returns what
            `add(job, photo, sr, prepared)` gets once the output is written; None: there is none.
        keep_existing: take outputs that are there as they are.
        debug: show the traceback of each error.
        strip: write no metadata.

    Attributes:
        num_done: images super-resolved so far; those that were there do not count.
        num_failed: images that failed so far.
    """

    def __init__(self, super_resolve, bar, observer=None, keep_existing=False, debug=False, strip=False):
        self.super_resolve, self.bar, self.observer = super_resolve, bar, observer
        self.keep_existing, self.debug, self.strip = keep_existing, debug, strip
        self.num_done = self.num_failed = 0

    def run(self, jobs, sizes):
        """Does the jobs in their order.

        Args:
            jobs: list of `Job`.
            sizes: of each job, the megapixels by which it counts in the bar.
        """
        writing = None
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
            loading = reader.submit(self._load, jobs[0]) if jobs else None
            for i, (job, size) in enumerate(zip(jobs, sizes, strict=True)):
                self.bar.set_description(printable(job.source.name), refresh=False)
                end = self.bar.n + size
                loaded = self._attempt(job, loading.result)
                loading = reader.submit(self._load, jobs[i + 1]) if i + 1 < len(jobs) else None
                if loaded and writing and self._output_bytes(loaded.photo) + writing.bytes > WRITE_AHEAD:
                    writing = self._finish(writing)
                sr = self._attempt(job, self._enlarge, loaded) if loaded else None
                self.bar.update(end - self.bar.n)  # what a failure left out, or the header had wrong
                if writing:
                    writing = self._finish(writing)
                if sr is not None:
                    writing = Writing(job, sr.nbytes, writer.submit(self._write, job, loaded, sr))
                del loaded, sr
            if writing:
                self._finish(writing)

    def _load(self, job):
        """Reads what a job needs, and checks that its output can be written, before there is any work."""
        photo, scale = read_photo(job.source), self.super_resolve.scale
        height, width = photo.pixels.shape[:2]
        check_output(job.target, width * scale, height * scale)
        prepared = self.observer.prepare(job, photo) if self.observer else None
        if not (self.keep_existing and job.target.exists()):
            return Loaded(photo, None, prepared)
        sr = read_photo(job.target).pixels
        if sr.shape[:2] != (height * scale, width * scale):
            raise UserError(f"{job.target}: is not the {width * scale} x {height * scale} pixels of {job.source} x"
                            f"{scale}: remove it, or leave out --skip-existing")
        return Loaded(photo, sr, prepared)

    def _enlarge(self, loaded):
        if loaded.sr is not None:
            return loaded.sr
        return self.super_resolve.enlarge(loaded.photo.pixels, lambda pixels: self.bar.update(pixels / MEGA))

    def _write(self, job, loaded, sr):
        """Writes the outputs of a job; returns the line that says so, and whether the image is new."""
        if loaded.sr is None:
            photo = loaded.photo.stripped() if self.strip else loaded.photo
            write_photo(job.target, photo._replace(pixels=sr))
        if self.observer:
            self.observer.add(job, loaded.photo, sr, loaded.prepared)
        sizes = [f"{pixels.shape[1]}x{pixels.shape[0]}" for pixels in (loaded.photo.pixels, sr)]
        return printable(f"{job.source} {sizes[0]} -> {job.target} {sizes[1]}"), loaded.sr is None

    def _output_bytes(self, photo):
        return photo.pixels.nbytes * self.super_resolve.scale**2

    def _finish(self, writing):
        """Waits until an output is written, and reports it."""
        done = self._attempt(writing.job, writing.future.result)
        if done:
            line, is_new = done
            self.num_done += is_new
            self.bar.write(line, file=sys.stdout)

    def _attempt(self, job, call, *args):
        """Returns what `call` returns, or None after a failure, which is reported."""
        try:
            return call(*args)
        except Exception as error:  # noqa: BLE001 - whatever befalls one image, the others are done
            self.num_failed += 1
            if self.debug:
                traceback.print_exception(error)
            self.bar.write(f"failed: {_failure(job, error)}", file=sys.stderr)
            return None


def _failure(job, error):
    """Returns the one-line text of an exception, with the image's path."""
    text = describe(error)
    if isinstance(error, UserError) or getattr(error, "filename", None):
        return text
    if isinstance(error, MemoryError):
        return f"{printable(job.source)}: there is not enough memory: {text}"
    return f"{printable(job.source)}: {type(error).__name__}: {text}"
