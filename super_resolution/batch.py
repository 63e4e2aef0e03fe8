"""Super-resolving files, one after the other."""

import os
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from errors import UserError, describe_fault, printable
from imaging.limits import check_output
from imaging.photos import Photo, read_photo, write_photo
from super_resolution.existing import facts_of
from super_resolution.jobs import Job
from super_resolution.sizes import output_size, resized

WRITE_AHEAD = 256 << 20  # bytes of two outputs, up to which one is written while the next is computed
MEGA = 1e6


class Loaded(NamedTuple):
    """What was read for a `Job`: its image and the file's status, the super-resolved one of an earlier run or None, and
    what the observer prepared."""

    photo: Photo
    status: os.stat_result
    sr: np.ndarray | None
    prepared: object


class Writing(NamedTuple):
    """An output that is being written."""

    job: Job
    bytes: int
    future: object


class Batch:
    """Super-resolves files. The next one is read and the last one is written while the network works.

    A file that fails is reported on stderr, and the others are done.

    Args:
        super_resolve: `SuperResolver`.
        bar: `tqdm` bar over megapixels of the inputs.
        observer: is told of each image: `prepare(job, photo)`, before there is any work, returns what
            `add(job, photo, sr, prepared)` gets once the output is written; None: there is none.
        kept: jobs whose outputs are there and are taken as they are; the observer is told of them.
        debug: show the traceback of each error.
        factor: by which outputs are larger than their photos; None: the network's scale.
        settings: what the outputs depend on besides their photos, a dict for their marks.
        strip: write no metadata.

    Attributes:
        num_done: images super-resolved so far; those that were there do not count.
        num_failed: images that failed so far.
    """

    def __init__(self, super_resolve, bar, observer=None, kept=(), debug=False, factor=None, settings=None,
                 strip=False):
        self.super_resolve, self.bar, self.observer = super_resolve, bar, observer
        self.kept, self.debug, self.strip = set(kept), debug, strip
        self.factor, self.settings = factor or super_resolve.scale, settings
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
        status, photo = os.stat(job.source), read_photo(job.source)
        height, width = output_size(photo.pixels.shape, self.factor)
        check_output(job.target, width, height)
        prepared = self.observer.prepare(job, photo) if self.observer else None
        if job not in self.kept:
            return Loaded(photo, status, None, prepared)
        sr = read_photo(job.target).pixels
        if sr.shape[:2] != (height, width):
            raise UserError(f"{job.target}: is not the {width} x {height} pixels of {job.source} x{self.factor:g}: "
                            "remove it")
        return Loaded(photo, status, sr, prepared)

    def _enlarge(self, loaded):
        if loaded.sr is not None:
            return loaded.sr
        pixels = loaded.photo.pixels
        sr = self.super_resolve.enlarge(pixels, lambda num_pixels: self.bar.update(num_pixels / MEGA))
        return resized(sr, pixels.shape, self.super_resolve.scale, self.factor)

    def _write(self, job, loaded, sr):
        """Writes the outputs of a job; returns the line that says so, and whether the image is new."""
        if loaded.sr is None:
            photo = loaded.photo.stripped() if self.strip else loaded.photo
            facts = facts_of(job.source, loaded.status, self.settings)
            write_photo(job.target, photo._replace(pixels=sr), facts)
        if self.observer:
            self.observer.add(job, loaded.photo, sr, loaded.prepared)
        sizes = [f"{pixels.shape[1]}x{pixels.shape[0]}" for pixels in (loaded.photo.pixels, sr)]
        return printable(f"{job.source} {sizes[0]} -> {job.target} {sizes[1]}"), loaded.sr is None

    def _output_bytes(self, photo):
        return photo.pixels.nbytes * max(self.factor, self.super_resolve.scale)**2

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
            self.bar.write(f"failed: {describe_fault(job.source, error)}", file=sys.stderr)
            return None
