"""Outputs that are there before a run: whether they still fit, and whether they may be replaced."""

import hashlib
import os
from collections import Counter
from typing import NamedTuple

from imaging.marks import is_foreign, read_mark
from imaging.photos import image_size
from super_resolution.sizes import output_size

FITS = "fits"
NEW_PHOTO = "the photo is another"
NEW_SETTINGS = "the model or an option is another"
UNFIT = "the size or the time does not fit"
FOREIGN = ("is there already, and was written or changed by another program: it is replaced only when overwriting is "
           "asked for")


class Sorted(NamedTuple):
    """What is to be done with jobs.

    Attributes:
        todo: jobs whose outputs are to be made.
        kept: jobs whose outputs are there and fit.
        failures: texts, each of a job whose output may not be replaced, and why.
        again: `Counter` of the reasons why outputs that are there are made again.
    """

    todo: list
    kept: list
    failures: list
    again: Counter


def make_settings(model_path, **options):
    """Returns what an output depends on besides its photo, as a dict: the model's name and content, and `options`."""
    try:
        with open(model_path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:  # which is reported when the model is loaded
        digest = None
    return {"model": model_path.stem, "sha256": digest, **options}


def facts_of(path, status, settings):
    """Returns the facts for the mark of an output, by which a later run knows whether it still fits.

    Args:
        path: of the photo.
        status: what `os.stat` said of the photo before it was read.
        settings: dict of `make_settings`.
    """
    photo = {"name": path.name, "bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
    return {"kind": "output", "photo": photo, "settings": settings}


def fitting(jobs, settings):
    """Whether the outputs of all jobs are there and, by their marks, fit."""
    return all(os.path.isfile(job.target) and _state(job, settings, None) == FITS for job in jobs)


def sort_out(jobs, settings, factor, figures, keep_fitting, overwrite):
    """Returns the jobs as `Sorted`.

    Args:
        jobs: list of `Job`.
        settings: dict of `make_settings`.
        factor: by which outputs are larger than their photos.
        figures: dict from the source of each job to the path of its figure; empty without figures.
        keep_fitting: keep outputs that fit; else all are made again.
        overwrite: replace files that no run has written, too.
    """
    result = Sorted([], [], [], Counter())
    for job in jobs:
        state = _state(job, settings, factor) if keep_fitting and os.path.isfile(job.target) else None
        figure = figures.get(job.source)
        at_risk = [path for path in (job.target if state != FITS else None, figure) if path and is_foreign(path)]
        if at_risk and not overwrite:
            result.failures.append(f"{at_risk[0]}: {FOREIGN}")
        elif state == FITS:
            result.kept.append(job)
        else:
            result.todo.append(job)
            if state:
                result.again[state] += 1
    return result


def _state(job, settings, factor):
    """Returns `FITS`, or why the output of a job, which is there, does not fit.

    Without a mark its size and time decide; where the factor is not known yet, it does not fit.
    """
    facts, status = read_mark(job.target), os.stat(job.source)
    if facts is None:
        return FITS if factor and _fits_by_size(job, status, factor) else UNFIT
    expected = facts_of(job.source, status, settings)
    if facts.get("settings") != expected["settings"]:
        return NEW_SETTINGS
    return FITS if facts == expected else NEW_PHOTO


def _fits_by_size(job, status, factor):
    size, target_size = image_size(job.source), image_size(job.target)
    if not size or not target_size or job.target.stat().st_mtime_ns < status.st_mtime_ns:
        return False
    width, height = size
    # The photo may be stored turned; its output is upright.
    return target_size in (output_size((width, height), factor), output_size((height, width), factor))
