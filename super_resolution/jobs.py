"""What is to be written where, and which files are outputs of earlier runs already."""

import functools
import os
import zlib
from pathlib import Path
from typing import NamedTuple

from errors import UserError
from imaging.formats import output_suffix
from imaging.marks import read_mark


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


def plan(images, outdir, suffix=None):
    """Returns the `Job`s for images: NAME.EXT becomes NAME-sr.EXT below `outdir`.

    Args:
        images: dict from the path of each image to its name, a path as well.
        outdir: folder.
        suffix: of the outputs, such as '.png'; None: that of the input, where its format is written, else '.png'.

    Raises:
        UserError: two images would become the same file.
    """
    jobs, sources = [], {}
    for path, name in images.items():
        target = outdir / name.with_name(f"{name.stem}-sr{suffix or output_suffix(name.suffix)}")
        if target in sources:
            raise UserError(f"{sources[target]} and {path} would both be written to {target}: rename one, or let each "
                            "be written in its own format or folder")
        sources[target] = path
        jobs.append(Job(path, str(name), target))
    return jobs


def plan_one(images, target):
    """Returns the `Job` for a single image that is to become the file `target`, in a list.

    Raises:
        UserError: they are the same file.
    """
    (path, name), = images.items()
    if target.exists() and target.samefile(path):
        raise UserError(f"{target}: is the input itself: choose another name for the output")
    return [Job(path, str(name), target)]


def share(jobs, number, total):
    """Returns the jobs of share `number`, from 1, of `total`: the image's name decides, whatever others there are.

    So shares are never done twice and none is left out, even where images come while they are done one after another.
    """
    return [job for job in jobs if zlib.crc32(os.fsencode(job.name)) % total == number - 1]


def earlier_outputs(images, outdir, named, figure_names):
    """Returns the set of those images that earlier runs have written, in whatever format, at whatever scale.

    They are known by their mark. Outputs without one, of earlier versions or changed since, are known by their names:
    NAME-sr.EXT, and what a figure of NAME is called, are outputs where the image NAME is among the images too, in the
    same folder or where its output would be.

    Args:
        images: dict from the path of each image to its name.
        outdir: folder of the outputs.
        named: images that the user named themselves: of these the marks of figures and pages alone count, since an
            output may be enlarged again.
        figure_names: function of an image's path that returns the names of its figure.
    """
    real = functools.cache(Path.resolve)
    stems, figures = set(), set()
    for path, name in images.items():
        for folder in {real(path.parent), real(outdir / name.parent)}:
            stems.add((folder, f"{path.stem}-sr"))
            figures.update((folder, figure) for figure in figure_names(path))

    def is_output(path):
        if (real(path.parent), path.stem) in stems or (real(path.parent), path.name) in figures:
            return True
        facts = read_mark(path)
        return facts is not None and (path not in named or facts.get("kind") != "output")

    return {path for path in images if is_output(path)}
