"""Super-resolving files, one after the other."""

import os
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from errors import UserError, describe_fault, printable
from imaging.limits import check_memory, check_output
from imaging.photos import Photo, read_photo, write_photo
from imaging.strips import Abandoned, Backlog, Strips
from super_resolution.existing import facts_of
from super_resolution.sizes import output_size, resized

WAITING = 64 << 20  # bytes of outputs that may wait to be written while the network goes on
MEGA = 1e6


class Loaded(NamedTuple):
    """What was read for a `Job`: its image and the file's status, the super-resolved one of an earlier run or None,
    what the observer prepared, and a line to be said or None."""

    photo: Photo
    status: os.stat_result
    sr: np.ndarray | None
    prepared: object
    note: str | None = None


class Batch:
    """Super-resolves files. The next one is read and outputs are written while the network works.

    An output is written while it is made; the observer alone needs it as a whole. A file that fails is reported on
    stderr, and the others are done.

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
        self._backlog = Backlog(WAITING)

    def run(self, jobs, sizes):
        """Does the jobs in their order.

        Args:
            jobs: list of `Job`.
            sizes: of each job, the megapixels by which it counts in the bar.
        """
        writing = None
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
            loaded_jobs = self._loaded(list(zip(jobs, sizes, strict=True)), reader)
            for (job, size, loaded), enlarge in self.super_resolve.each(loaded_jobs, _image_to_enlarge):
                self.bar.set_description(printable(job.source.name), refresh=False)
                end = self.bar.n + size
                future = self._enlarge(job, loaded, enlarge, writer) if loaded else None
                self.bar.update(end - self.bar.n)  # what a failure left out, or the header had wrong
                if writing:
                    self._finish(*writing)
                writing = (job, future) if future else None
                del loaded, future, enlarge
            if writing:
                self._finish(*writing)

    def _loaded(self, jobs, reader):
        """Yields each job with its size and what was `Loaded`, None after a failure, while the next one is read."""
        loading = reader.submit(self._load, jobs[0][0]) if jobs else None
        for i, (job, size) in enumerate(jobs):
            loaded = self._attempt(job, loading.result)
            loading = reader.submit(self._load, jobs[i + 1][0]) if i + 1 < len(jobs) else None
            yield job, size, loaded
            del loaded  # while the next one is waited for

    def _load(self, job):
        """Reads what a job needs, and checks that its output can be written, before there is any work."""
        status, photo = os.stat(job.source), read_photo(job.source)
        height, width = output_size(photo.pixels.shape, self.factor)
        check_output(job.target, width, height)
        shape = (height, width, *photo.pixels.shape[2:])
        note = check_memory(job.target, shape) if job not in self.kept else None
        prepared = self.observer.prepare(job, photo) if self.observer else None
        if job not in self.kept:
            return Loaded(photo, status, None, prepared, note)
        sr = read_photo(job.target).pixels
        if sr.shape[:2] != (height, width):
            raise UserError(f"{job.target}: is not the {width} x {height} pixels of {job.source} x{self.factor:g}: "
                            "remove it")
        return Loaded(photo, status, sr, prepared)

    def _enlarge(self, job, loaded, enlarge, writer):
        """Super-resolves an image while it is written; returns the future of `_write`, which raises what goes wrong.

        `enlarge` is what `SuperResolver.each` returns for it.
        """
        if loaded.sr is not None:
            return writer.submit(self._write, job, loaded, loaded.sr)
        if loaded.note:
            self.bar.write(printable(loaded.note), file=sys.stderr)
        pixels = loaded.photo.pixels
        sr = Strips((*output_size(pixels.shape, self.factor), *pixels.shape[2:]), pixels.dtype, self._backlog)
        try:
            future = writer.submit(self._write, job, loaded, sr)
            strips = iter([enlarge()]) if enlarge else self.super_resolve.strips(
                pixels, lambda num_pixels: self.bar.update(num_pixels / MEGA))
            for strip in resized(strips, pixels.shape, self.super_resolve.scale, self.factor):
                sr.put(strip)
        except Abandoned:
            pass  # it could not be written
        except Exception as error:  # noqa: BLE001 - whatever befalls one image, the others are done
            sr.end(error)
        finally:
            sr.end()  # by a signal too: the writer must not wait for ever
        return future

    def _write(self, job, loaded, sr):
        """Writes the outputs of a job; returns the line that says so, and whether the image is new.

        Args:
            sr: `Strips`, or the array that was there.
        """
        is_new = loaded.sr is None
        try:
            pixels = sr.whole() if self.observer and is_new else sr
            if is_new:
                photo = loaded.photo.stripped() if self.strip else loaded.photo
                write_photo(job.target, photo._replace(pixels=pixels),
                            facts_of(job.source, loaded.status, self.settings))
            if self.observer:
                self.observer.add(job, loaded.photo, pixels, loaded.prepared)
        finally:
            if is_new:
                sr.abandon()  # else the network would wait for ever where nothing is written
        sizes = [f"{pixels.shape[1]}x{pixels.shape[0]}" for pixels in (loaded.photo.pixels, sr)]
        return printable(f"{job.source} {sizes[0]} -> {job.target} {sizes[1]}"), is_new

    def _finish(self, job, future):
        """Waits until an output is written, and reports it."""
        done = self._attempt(job, future.result)
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


def _image_to_enlarge(job):
    """Returns the pixels that are to be super-resolved for what `Batch._loaded` yields, None where there are none."""
    _, _, loaded = job
    return None if loaded is None or loaded.sr is not None else loaded.photo.pixels
