"""Figures and a page of the images that are super-resolved, made as each is written."""

from collections import Counter
from itertools import chain, count

import numpy as np

from comparison.figure import comparison_figure
from comparison.originals import load_hr
from comparison.pair import Comparison
from imaging.colour import shown
from imaging.photos import Photo, write_photo


def figure_names(path):
    """Returns names for the figure of the image `path`: NAME-compare.png, and others for where that is taken."""
    return [f"{base}-compare.png" for base in (path.stem, path.name.replace(".", "-"), path.name)]


def figure_paths(jobs):
    """Returns the path of each job's figure, by its source: NAME-compare.png beside the output.

    Images that differ in their suffix alone keep it in the figure's name. No two figures have the same path.
    """
    counts = Counter((job.target.parent, job.source.stem) for job in jobs)
    taken, paths = {job.target for job in jobs}, {}
    # First those whose name is theirs alone.
    for job in sorted(jobs, key=lambda job: counts[job.target.parent, job.source.stem] > 1):
        names = figure_names(job.source)
        if counts[job.target.parent, job.source.stem] > 1:
            del names[0]
        numbered = (f"{job.source.name}-{number}-compare.png" for number in count(2))
        paths[job.source] = next(path for name in chain(names, numbered)
                                 if (path := job.target.with_name(name)) not in taken)
        taken.add(paths[job.source])
    return paths


class Presentation:
    """Shows the images of a batch before and after: a figure for each, and an entry on the page.

    Args:
        page: `ComparisonPage`.
        super_resolve: `SuperResolver` that makes the images; its scale and name are shown.
        figures: `figure_paths` of the jobs.
        originals: path of the original by an image's path; of images without one there are no scores.
    """

    def __init__(self, page, super_resolve, figures, originals):
        self.page, self.scale, self.model_name = page, super_resolve.scale, super_resolve.name
        self.figures, self.originals = figures, originals

    def prepare(self, job, photo):
        """Returns the original of a job's photo, or None where there is none.

        Raises:
            UserError: it cannot be read, or its size does not fit.
        """
        path = self.originals.get(job.source)
        return path and load_hr(path, photo.pixels.shape[:2], self.scale)

    def add(self, job, photo, sr, hr):
        """Writes the figure of an image whose output is written, and adds it to the page.

        Args:
            job: its `Job`.
            photo: the image, a `Photo`.
            sr: pixels of the super-resolved image, of the kind of the photo's.
            hr: what `prepare` returned.

        Raises:
            WriteError: the system refuses to write.
        """
        lr_shown, sr_shown = (shown(pixels, photo.icc_profile) for pixels in (photo.pixels, sr))
        comparison = Comparison(lr_shown, sr_shown, self.scale, job.name, self.model_name, hr)
        figure = self.figures[job.source]
        write_photo(figure, Photo(np.asarray(comparison_figure(comparison))), {"kind": "figure"})
        self.page.add(comparison, job.target, figure)
