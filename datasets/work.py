"""The work of convert.py, done by several processes: one image that fails costs no other its result."""

import sys
import traceback
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple

from tqdm import tqdm

from datasets.sources import SourceRecord, source_state
from datasets.workers import WorkerPool
from errors import UserError, describe, printable
from files import make_folder, remove_leftovers
from imaging.image_files import range_warnings, read_image

MAX_REPORTED = 20  # images that are named when a worker was killed


class Task(NamedTuple):
    """One source image and the files to be made of it: `make[path](path, image)` writes each.

    With a low-resolution version, `lr`, that is a file of its own, it is `make[path](path, image, lr_image)`.
    """

    source: object
    make: dict
    lr: object = None

    @property
    def sources(self):
        """The paths of the files that it is made from."""
        return [self.source] if self.lr is None else [self.source, self.lr]


class Outcome(NamedTuple):
    """What became of a `Task`: the state of its source that was read, or the error's text and its traceback.

    `narrow` is what `read_image` has noted.
    """

    source: object
    state: tuple | None
    narrow: dict
    error: str | None = None
    traceback: str = ""


def do_tasks(tasks, outdir, num_workers, debug=False, white_level=None):
    """Does the tasks, reports each that fails, and returns the exit code: 1 if any failed.

    What is up to date is left alone. Whatever ends the work, what is finished is kept, and nothing is half-written.

    Args:
        tasks: list of `Task`.
        outdir: folder that all files are written below.
        num_workers: processes.
        debug: show the traceback of each error.
        white_level: as for `read_image`.

    Raises:
        UserError: a worker process was killed; what is finished has been kept, and what is not was reported.
    """
    make_folder(outdir)
    folders = {path.parent for task in tasks for path in task.make}
    _remove_leftovers(folders)
    with SourceRecord(outdir, white_level) as record:
        due = [task._replace(make=stale) for task in tasks
               if (stale := {path: make for path, make in task.make.items()
                             if record.is_outdated(path, *task.sources)})]
        work = _Work(due, record, debug, white_level)
        try:
            work.run(num_workers)
        finally:
            _remove_leftovers(folders)  # of workers that were killed
            num_left = len(work.left)
            for line in range_warnings(work.narrow):
                print(line, file=sys.stderr)
            print(f"{len(due) - num_left - work.num_failed} images converted, {len(tasks) - len(due)} up to date, "
                  f"{work.num_failed} failed{f', {num_left} not done' if num_left else ''}: {printable(outdir)}")
    if work.left:
        raise UserError(f"{outdir}: a worker process was killed, most often for want of memory, and {num_left} images "
                        "were not done: the same command goes on, and fewer workers need less memory")
    return 1 if work.num_failed else 0


class _Work:
    """Tasks that are done by worker processes.

    Args:
        due: list of `Task`.
        record: `SourceRecord` in which what is done is noted.
        debug: show the traceback of each error.
        white_level: as for `read_image`.

    Attributes:
        left: tasks, by source, that are neither done nor have failed.
        num_failed: tasks that have failed.
        narrow: what `read_image` has noted.
    """

    def __init__(self, due, record, debug, white_level=None):
        self.left = {task.source: task for task in due}
        self.num_failed, self.narrow = 0, {}
        self.record, self.debug, self.white_level = record, debug, white_level

    def run(self, num_workers):
        """Does the tasks, and reports those that are left when a worker process has been killed."""
        with (WorkerPool(num_workers) as pool,
              tqdm(total=len(self.left), unit="image", disable=None) as self.progress):
            for future in as_completed(self._submit(pool)):
                if not isinstance(future.exception(), BrokenProcessPool):
                    self._finish(future.result())
        for source in list(self.left)[:MAX_REPORTED]:
            print(f"not done: {printable(source)}")
        if len(self.left) > MAX_REPORTED:
            print(f"not done: {len(self.left) - MAX_REPORTED} more")

    def _submit(self, pool):
        futures = []
        try:
            for task in self.left.values():
                futures.append(pool.submit(_do, task, self.white_level))
        except BrokenProcessPool:  # already: the rest is left
            pass
        return futures

    def _finish(self, outcome):
        """Notes the outcome of a task and reports a failure."""
        task = self.left.pop(outcome.source)
        self.narrow |= outcome.narrow
        if outcome.error is None:
            for path in task.make:
                self.record.note(path, outcome.state)
        else:
            self.num_failed += 1
            if self.debug:
                self.progress.write(outcome.traceback, file=sys.stderr)
            self.progress.write(f"failed: {outcome.error}")
        self.progress.update()


def _remove_leftovers(folders):
    for folder in folders:
        remove_leftovers(folder)


def _do(task, white_level):
    """Does one task in a worker process; returns its `Outcome`."""
    narrow = {}
    try:
        state = source_state(*task.sources)  # before it is read, so that a change meanwhile shows the next time
        images = [read_image(path, white_level, narrow) for path in task.sources]
        for path, make in task.make.items():
            make(path, *images)
    except Exception as error:  # noqa: BLE001 - whatever a damaged image makes a decoder do, the others are done
        text = describe(error)
        if not isinstance(error, (UserError, OSError)):
            text = f"{type(error).__name__}: {text}"
        if not any(printable(path) in text for path in task.sources):
            text = f"{printable(task.source)}: {text}"
        return Outcome(task.source, None, {}, text, "".join(traceback.format_exception(error)))
    return Outcome(task.source, state, narrow)
