"""The work of convert.py: what is to be made from what, done by several processes."""

import csv
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from choices import SCALES
from datasets import div2k
from errors import UserError, describe
from files import atomic_path, make_folder, outdated, write_csv, write_text
from imaging.image_files import find_images, read_image
from imaging.photos import Photo, write_photo
from imaging.resize import downscale

PARAMETERS_FILE = ".convert.json"  # what the files in a folder were made with
IMAGES_FILE = "images.csv"  # which photo has which id
IMAGES_FIELDS = ("id", "subset", "source")


class Task(NamedTuple):
    """One source image and the files to be made of it: `make[path](path, image)` writes each."""

    source: object
    make: dict


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


def convert(tasks, outdir, num_workers):
    """Does the tasks, reports each that fails, and returns the exit code: 1 if any failed."""
    make_folder(outdir)
    due = [Task(task.source, stale) for task in tasks
           if (stale := {path: make for path, make in task.make.items() if outdated(path, task.source)})]
    failures = 0
    with (ProcessPoolExecutor(num_workers, multiprocessing.get_context("spawn")) as pool,
          tqdm(total=len(due), unit="image", disable=None) as progress):
        for future in as_completed([pool.submit(_do, task) for task in due]):
            error = future.result()
            if error:
                failures += 1
                progress.write(f"failed: {error}")
            progress.update()
    print(f"{len(due) - failures} images converted, {len(tasks) - len(due)} up to date, {failures} failed: {outdir}")
    return 1 if failures else 0


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


def _do(task):
    """Does one task in a worker process; returns the error's text or None."""
    try:
        image = read_image(task.source)
        for path, make in task.make.items():
            make(path, image)
    except (UserError, OSError) as error:
        text = describe(error)
        return text if str(task.source) in text else f"{task.source}: {text}"
    return None


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
        earlier = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        earlier = {}
    except ValueError as error:
        raise UserError(f"{path}: is damaged ({error}): remove it together with the files made in {outdir}") from error
    if earlier == parameters:
        return
    if earlier:
        raise UserError(f"{outdir}: was made with {earlier}, not with {parameters}: choose another --outdir")
    write_text(path, json.dumps(parameters))


def _drop_renumbered(outdir, rows):
    """Writes images.csv and removes the arrays of ids that stand for another photo than in an earlier run."""
    path = outdir / IMAGES_FILE
    earlier = []
    if path.exists():
        with open(path, encoding="utf-8", newline="") as file:
            earlier = [(int(row["id"]), row["subset"], row["source"]) for row in csv.DictReader(file)]
    for image_id, subset, _ in set(earlier) - set(rows):
        stale = [div2k.hr_path(outdir, subset, image_id)]
        stale += [div2k.lr_path(outdir, subset, "bicubic", scale, image_id) for scale in SCALES]
        for array in stale:
            array.unlink(missing_ok=True)
    write_csv(path, IMAGES_FIELDS, (dict(zip(IMAGES_FIELDS, row, strict=True)) for row in rows))
