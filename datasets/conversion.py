"""What convert.py makes: which files of which image, and how each of them is written."""

import csv
import io
import json
import re
from functools import partial

import numpy as np
from PIL import Image

from choices import SCALES
from datasets import div2k
from datasets.work import Task
from errors import UserError
from files import atomic_path, make_folder, read_text, write_csv, write_text
from imaging.image_files import find_images
from imaging.photos import Photo, write_photo
from imaging.resize import downscale

PARAMETERS_FILE = ".convert.json"  # what the files in a folder were made with
IMAGES_FILE = "images.csv"  # which photo has which id
IMAGES_FIELDS = ("id", "subset", "source")
SUBSETS = ("train", "valid")
REMOVE_LIST = "remove it together with the arrays beside it, or choose another --outdir"


def numpy_tasks(indir, outdir):
    """Every image below `indir` becomes an array (H, W, 3), uint8, of the same name below `outdir`."""
    return _mirror(indir, outdir, ".npy", write_array)


def jpeg_tasks(indir, outdir, quality):
    """Every image below `indir` becomes a JPEG of the given quality (with Pillow's chroma subsampling)."""
    tasks = _mirror(indir, outdir, ".jpg", partial(write_jpeg, quality=quality))
    _remember_parameters(outdir, {"jpeg": {"quality": quality}})
    return tasks


def bicubic_tasks(indir, outdir, scales, border):
    """Every image below `indir` becomes NAMExS.png in `outdir`/XS for every scale S."""
    tasks = []
    for source in find_images(indir, recursive=True):
        name = source.relative_to(indir)
        tasks.append(Task(source, {
            outdir / f"X{scale}" / name.with_name(f"{name.stem}x{scale}.png"): partial(write_lr, scale, border)
            for scale in scales}))
    _without_collisions(tasks)
    _remember_parameters(outdir, {"bicubic": {"border": border}})
    return tasks


def degraded_tasks(indir, outdir, scales, downgrade, strength, order, seed):
    """Every image below `indir` becomes NAMExS.png in `outdir`/XS for every scale S, degraded as `degrade_photo` does.

    The photo's name is its path below `indir` without suffix: where the folder is and what else is in it, or in which
    lossless format, changes nothing.
    """
    tasks = []
    for source in find_images(indir, recursive=True):
        name = source.relative_to(indir).with_suffix("")
        make = partial(write_degraded, photo=name.as_posix(), downgrade=downgrade, strength=strength, order=order,
                       seed=seed)
        tasks.append(Task(source, {
            outdir / f"X{scale}" / name.with_name(f"{name.name}x{scale}.png"): partial(make, scale)
            for scale in scales}))
    _without_collisions(tasks)
    _remember_parameters(outdir, {downgrade: {"strength": strength, "order": order, "seed": seed}})
    return tasks


def dataset_tasks(indirs, outdir, scales, border, validation_fraction, seed):
    """Photos become a data set: arrays in DIV2K's layout, and images.csv with the photo behind each id.

    Training images are numbered from 1, validation images go on from there. The order is that of the sorted paths;
    which photos are for validation is drawn from `seed`.
    """
    sources = sorted({path.resolve() for indir in indirs for path in find_images(indir, recursive=True)})
    num_valid = round(len(sources) * validation_fraction)
    if validation_fraction > 0:
        num_valid = max(num_valid, 1)
    if num_valid >= len(sources):
        raise UserError(f"{indirs[0]}: {len(sources)} image is too few to keep one for validation; "
                        "--validation-fraction 0 keeps none")
    valid = set(np.random.default_rng(seed).permutation(len(sources))[:num_valid])
    ordered = [(path, "train") for i, path in enumerate(sources) if i not in valid]
    ordered += [(path, "valid") for i, path in enumerate(sources) if i in valid]
    rows = [(image_id, subset, str(path)) for image_id, (path, subset) in enumerate(ordered, start=1)]

    _remember_parameters(outdir, {"dataset": {"border": border}})
    _drop_renumbered(outdir, rows)
    return [Task(path, {div2k.hr_path(outdir, subset, image_id): write_array,
                        **{div2k.lr_path(outdir, subset, "bicubic", scale, image_id):
                           partial(write_lr, scale, border) for scale in scales}})
            for image_id, (path, subset) in enumerate(ordered, start=1)]


def write_array(path, image):
    """Writes an image as a .npy array, atomically."""
    with atomic_path(path) as temporary:
        np.save(temporary, image, allow_pickle=False)


def write_lr(scale, border, path, image):
    """Writes the low-resolution version of an image: an array or an image file, by the suffix of `path`."""
    _check_reducible(image, scale)
    lr = downscale(image, scale, border)
    if path.suffix == ".npy":
        write_array(path, lr)
    else:
        write_photo(path, Photo(lr))


def write_degraded(scale, path, image, **degradation):
    """Writes a degraded low-resolution version of an image; the keyword arguments are those of `degrade_photo`."""
    from datasets.degradations import degrade_photo  # here: the worker processes of other tasks need no SciPy

    _check_reducible(image, scale)
    write_photo(path, Photo(degrade_photo(image, scale, **degradation)))


def write_jpeg(path, image, quality):
    """Writes an image as a JPEG as Pillow does by default, which the q75 and q90 data sets are."""
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary, quality=quality)


def _check_reducible(image, scale):
    if min(image.shape[:2]) < scale:
        raise UserError(f"is {image.shape[0]} x {image.shape[1]}, too small to be reduced by {scale}")


def _mirror(indir, outdir, suffix, make):
    return _without_collisions([
        Task(source, {(outdir / source.relative_to(indir)).with_suffix(suffix): make})
        for source in find_images(indir, recursive=True)])


def _without_collisions(tasks):
    """Returns `tasks`, or raises where two sources would write the same file."""
    writer = {}
    for task in tasks:
        for path in task.make:
            if path in writer:
                raise UserError(f"{writer[path]} and {task.source} would both be written to {path}: rename one")
            writer[path] = task.source
    return tasks


def _remember_parameters(outdir, parameters):
    """Remembers what `outdir` is made with; other parameters than those of an earlier run are an error."""
    make_folder(outdir)
    path = outdir / PARAMETERS_FILE
    try:
        earlier = json.loads(read_text(path))
        if not isinstance(earlier, dict):
            raise ValueError(f"it holds no object but {str(earlier)[:40]!r}")
    except FileNotFoundError:
        earlier = {}
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: is damaged ({error}): remove it together with the files made in {outdir}") from error
    if earlier == parameters:
        return
    if earlier:
        raise UserError(f"{outdir}: was made with {earlier}, not with {parameters}: choose another --outdir")
    write_text(path, json.dumps(parameters))


def _drop_renumbered(outdir, rows):
    """Writes images.csv and removes the arrays of ids that stand for another photo than in an earlier run."""
    path = outdir / IMAGES_FILE
    for image_id, subset, _ in set(_read_rows(path)) - set(rows):
        stale = [div2k.hr_path(outdir, subset, image_id)]
        stale += [div2k.lr_path(outdir, subset, "bicubic", scale, image_id) for scale in SCALES]
        for array in stale:
            array.unlink(missing_ok=True)
    write_csv(path, IMAGES_FIELDS, (dict(zip(IMAGES_FIELDS, row, strict=True)) for row in rows))


def _read_rows(path):
    """Returns the rows (id, subset, source) of an images.csv, none where there is no such file.

    Arrays are removed by what it says, so that every row is checked.
    """
    try:
        lines = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
        header = next(lines, None)
        rows = list(lines)
    except FileNotFoundError:
        return []
    except csv.Error as error:
        raise UserError(f"{path}: is damaged ({error}): {REMOVE_LIST}") from error
    if header != list(IMAGES_FIELDS):
        raise UserError(f"{path}: is no list of {', '.join(IMAGES_FIELDS)}: {REMOVE_LIST}")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(IMAGES_FIELDS) or not re.fullmatch(r"[0-9]{1,9}", row[0]) or row[1] not in SUBSETS:
            raise UserError(f"{path}: row {number} is not an id, {' or '.join(SUBSETS)}, and a source: {REMOVE_LIST}")
    return [(int(image_id), subset, source) for image_id, subset, source in rows]
