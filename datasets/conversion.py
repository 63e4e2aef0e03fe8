"""What convert.py makes: which files of which image, and how each of them is written."""

import json
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from datasets import div2k
from datasets.folders import pair_folders_below
from datasets.pairing import RENAME
from datasets.photo_list import find_photos, list_photos, read_list, replace_list
from datasets.work import Task
from errors import UserError
from files import atomic_path, make_folder, read_text, write_text
from imaging.image_files import find_images
from imaging.photos import Photo, write_photo
from imaging.resize import downscale

PARAMETERS_FILE = ".convert.json"  # what the files in a folder were made with


def numpy_tasks(indir, outdir, images=None):
    """Every image below `indir`, or those `images`, becomes an array (H, W, 3), uint8, of the same name in `outdir`."""
    return _mirror(indir, outdir, ".npy", write_array, images)


def jpeg_tasks(indir, outdir, quality):
    """Every image below `indir` becomes a JPEG of the given quality (with Pillow's chroma subsampling)."""
    tasks = _mirror(indir, outdir, ".jpg", partial(write_jpeg, quality=quality))
    _remember_parameters(outdir, "jpeg", {"quality": quality})
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
    _remember_parameters(outdir, "bicubic", {"border": border})
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
    _remember_parameters(outdir, downgrade, {"strength": strength, "order": order, "seed": seed})
    return tasks


def dataset_tasks(indirs, outdir, scales, border, validation_fraction, seed):
    """Photos become a data set: arrays in DIV2K's layout, and images.csv with the photo behind each id.

    Ids and subsets are those of `list_photos`, and photos that were there in an earlier run keep theirs.
    """
    photos = find_photos(indirs)
    entries = _list_anew(outdir, photos, {"border": border}, validation_fraction, seed)
    return [Task(Path(source), {div2k.hr_path(outdir, subset, image_id): write_array,
                                **{div2k.lr_path(outdir, subset, "bicubic", scale, image_id):
                                   partial(write_lr, scale, border) for scale in scales}})
            for image_id, subset, source in entries]


def pair_tasks(indir, lr_dir, outdir, scale, downgrade, validation_fraction, seed, by_order=False, advice=RENAME):
    """Images in high and in low resolution become a data set with one downgrade, as `dataset_tasks` makes one.

    Args:
        indir: folder of high-resolution images.
        lr_dir: folder of their low-resolution versions, which are kept as they are.
        outdir: the data set.
        scale: of the low-resolution images.
        downgrade: what they are called in the data set: they are in DIV2K_train_LR_NAME/XS.
        validation_fraction, seed: as for `list_photos`.
        by_order: pair the images in the order of their names, not by their names.
        advice: what to do where an image has no partner.

    Raises:
        UserError: as `pair_folders_below` and `list_photos`.
    """
    lr_paths = {hr.resolve(): lr for hr, lr in pair_folders_below(indir, lr_dir, scale, by_order, advice)}
    photos = {path: name for path, name in find_photos([indir]).items() if path in lr_paths}
    tasks = []
    for image_id, subset, source in _list_anew(outdir, photos, {}, validation_fraction, seed):
        lr_path = lr_paths[Path(source)]
        targets = {"hr": div2k.hr_path(outdir, subset, image_id),
                   "lr": div2k.lr_path(outdir, subset, downgrade, scale, image_id)}
        make = {path: partial(write_pair, scale, lr_path, kind) for kind, path in targets.items()}
        tasks.append(Task(Path(source), make, lr_path))
    return tasks


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


def write_pair(scale, lr_path, kind, path, hr, lr):
    """Writes `hr` or `lr`, by `kind`, of a pair that fits: its high resolution may have up to S - 1 pixels more.

    Low resolution of a size that was rounded up is refused, not cropped: most programs have then reduced by a little
    less than the scale, so that the pixels move away from each other.
    """
    _check_reducible(hr, scale)
    fitting = tuple(size // scale for size in hr.shape[:2])
    if lr.shape[:2] != fitting:
        raise UserError(f"{lr_path}: is {lr.shape[0]} x {lr.shape[1]}, which does not fit its high-resolution image of "
                        f"{hr.shape[0]} x {hr.shape[1]}: at scale {scale} that would be {fitting[0]} x {fitting[1]}")
    write_array(path, {"hr": hr, "lr": lr}[kind])


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


def _mirror(indir, outdir, suffix, make, images=None):
    return _without_collisions([
        Task(source, {(outdir / source.relative_to(indir)).with_suffix(suffix): make})
        for source in images or find_images(indir, recursive=True)])


def _without_collisions(tasks):
    """Returns `tasks`, or raises where two sources would write the same file."""
    writer = {}
    for task in tasks:
        for path in task.make:
            if path in writer:
                raise UserError(f"{writer[path]} and {task.source} would both be written to {path}: rename one")
            writer[path] = task.source
    return tasks


def _list_anew(outdir, photos, settings, fraction, seed):
    """Writes images.csv and what the data set is made with, and returns the list's entries.

    Photos keep their subset, unless another split is asked for; versions before this one did not note theirs.
    """
    earlier = _earlier_settings(outdir, "dataset", settings)
    split = {"seed": seed, "validation_fraction": fraction}
    keeps_subsets = all(earlier.get(name, value) == value for name, value in split.items())
    listed = read_list(outdir)
    entries = list_photos(photos, listed, fraction, seed, keeps_subsets)
    make_folder(outdir)
    replace_list(outdir, listed, entries)
    write_text(outdir / PARAMETERS_FILE, json.dumps({"dataset": earlier | settings | split}))
    return entries


def _remember_parameters(outdir, command, settings):
    """Remembers what `outdir` is made with; other settings than those of an earlier run are an error."""
    earlier = _earlier_settings(outdir, command, settings)
    make_folder(outdir)
    if earlier != settings:
        write_text(outdir / PARAMETERS_FILE, json.dumps({command: settings}))


def _earlier_settings(outdir, command, settings):
    """Returns the settings with which an earlier run has made `outdir`, empty where there was none.

    Raises:
        UserError: they are those of another command, or one of them differs.
    """
    path = outdir / PARAMETERS_FILE
    try:
        earlier = json.loads(read_text(path))
        if not isinstance(earlier, dict) or not all(isinstance(value, dict) for value in earlier.values()):
            raise ValueError(f"it holds no settings but {str(earlier)[:40]!r}")
    except (FileNotFoundError, NotADirectoryError):  # the latter is told when the folder is made
        return {}
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: is damaged ({error}): remove it together with the files made in {outdir}") from error
    before = earlier.get(command, {})
    fixed = {name: before[name] for name in settings if name in before}
    if (earlier and command not in earlier) or any(fixed[name] != settings[name] for name in fixed):
        shown = {command: fixed} if fixed else earlier
        raise UserError(f"{outdir}: was made with {shown}, not with { {command: settings} }: choose another --outdir")
    return before
