"""Which photo of a data set has which id and which subset, as images.csv lists it, from one run to the next."""

import csv
import hashlib
import io
import os
import re
import unicodedata
from collections import defaultdict
from pathlib import PurePath
from typing import NamedTuple

from datasets import div2k
from errors import UserError
from files import read_text, write_csv
from imaging.image_files import find_images

IMAGES_FILE = "images.csv"
SUBSETS = ("train", "valid")
REMOVE_LIST = "remove it together with the arrays beside it, or choose another --outdir"


class Entry(NamedTuple):
    """A row of images.csv: a photo's id, its subset, 'train' or 'valid', and the path of its file."""

    id: int
    subset: str
    source: str


def find_photos(folders):
    """Returns the photos below some folders: the real path of each to its path below the folder."""
    photos = {}
    for folder in folders:
        for path in find_images(folder, recursive=True):
            photos.setdefault(path.resolve(), path.relative_to(folder))
    return photos


def list_photos(photos, earlier, fraction, seed, keeps_subsets):
    """Returns the `Entry` of each photo, sorted by id.

    A photo that was listed earlier keeps its id; so does one whose folder has moved. New ids go on from the highest,
    those of training images first. The subset is a function of the photo's name below its folder and of `seed`, so
    that no other photo, and no other place, changes it. Only where it would leave a subset empty, one photo is moved.

    Args:
        photos: as `find_photos` returns them.
        earlier: list of `Entry`, of the last run.
        fraction: of the photos that are for validation, about.
        seed: of the choice.
        keeps_subsets: whether photos that were listed earlier keep their subset, whatever the choice would be.

    Raises:
        UserError: there is one photo only, of which none can be kept for validation.
    """
    if fraction > 0 and len(photos) < 2:
        raise UserError(f"{next(iter(photos)).parent}: 1 image is too few to keep one for validation; "
                        "--validation-fraction 0 keeps none, for training without validation")
    known = _known(photos, earlier)
    subsets = {path: entry.subset for path, entry in known.items()} if keeps_subsets else {}
    subsets = _split(photos, subsets, fraction, seed)
    ids = {path: entry.id for path, entry in known.items()}
    following = max((entry.id for entry in earlier), default=0) + 1
    for path in sorted(photos, key=lambda path: (SUBSETS.index(subsets[path]), path)):
        if path not in ids:
            ids[path] = following
            following += 1
    return sorted(Entry(ids[path], subsets[path], str(path)) for path in photos)


def read_list(dataset):
    """Returns the entries of a data set's images.csv, none where there is no such file.

    Arrays are removed by what it says, so that every row is checked.

    Raises:
        UserError: it is damaged.
    """
    path = dataset / IMAGES_FILE
    try:
        lines = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
        header = next(lines, None)
        rows = list(lines)
    except FileNotFoundError:
        return []
    except csv.Error as error:
        raise UserError(f"{path}: is damaged ({error}): {REMOVE_LIST}") from error
    if header != list(Entry._fields):
        raise UserError(f"{path}: is no list of {', '.join(Entry._fields)}: {REMOVE_LIST}")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(Entry._fields) or not re.fullmatch(r"[0-9]{1,9}", row[0]) or row[1] not in SUBSETS:
            raise UserError(f"{path}: row {number} is not an id, {' or '.join(SUBSETS)}, and a source: {REMOVE_LIST}")
    entries = [Entry(int(image_id), subset, source) for image_id, subset, source in rows]
    if len({entry.id for entry in entries}) < len(entries):
        raise UserError(f"{path}: two rows have the same id: {REMOVE_LIST}")
    return entries


def replace_list(dataset, earlier, entries):
    """Writes images.csv and removes the arrays of entries of an earlier run that are no more."""
    gone = set(earlier) - set(entries)
    for subset in SUBSETS:
        lr_folders = [folder for folder in dataset.glob(f"DIV2K_{subset}_LR_*/X*") if folder.is_dir()]
        for image_id in (entry.id for entry in gone if entry.subset == subset):
            div2k.hr_path(dataset, subset, image_id).unlink(missing_ok=True)
            for folder in lr_folders:
                (folder / f"{image_id:04d}{folder.name.lower()}.npy").unlink(missing_ok=True)
    write_csv(dataset / IMAGES_FILE, Entry._fields, (entry._asdict() for entry in entries))


def _known(photos, earlier):
    """Returns the earlier `Entry` of each photo that has one: by its path, or else by its name below its folder."""
    by_source = {entry.source: entry for entry in earlier}
    known = {path: by_source.pop(str(path)) for path in photos if str(path) in by_source}
    moved = defaultdict(list)
    for entry in by_source.values():
        moved[PurePath(entry.source).name].append(entry)
    claims = defaultdict(list)
    for path in photos.keys() - known.keys():
        parts = photos[path].parts
        fitting = [entry for entry in moved[parts[-1]] if PurePath(entry.source).parts[-len(parts):] == parts]
        if len(fitting) == 1 and not os.path.exists(fitting[0].source):
            claims[fitting[0]].append(path)
    return known | {paths[0]: entry for entry, paths in claims.items() if len(paths) == 1}


def _split(photos, kept, fraction, seed):
    """Returns the subset of each photo; those that are `kept` have theirs."""
    shares = {path: _share(name, seed) for path, name in photos.items()}
    subsets = {path: kept.get(path) or ("valid" if share < fraction else "train") for path, share in shares.items()}
    if fraction > 0:
        for subset, sign in (("train", -1), ("valid", 1)):
            if subset not in subsets.values():  # a new photo goes there, if there is one
                subsets[min(photos, key=lambda path: (path in kept, sign * shares[path], path))] = subset
    return subsets


def _share(name, seed):
    """Returns a number from 0 to 1 that is spread evenly over the names; the suffix and the system do not change it."""
    text = unicodedata.normalize("NFC", name.with_suffix("").as_posix())  # macOS takes accents apart
    digest = hashlib.sha256(f"{seed}/{text}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8]) / 2**64
