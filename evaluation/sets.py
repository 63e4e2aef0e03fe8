"""Test sets: folders of images, or names that a file of sets resolves."""

import tomllib
from pathlib import Path
from typing import NamedTuple

from choices import PAIRINGS
from errors import UserError
from files import read_text

KEYS = {"hr", "lr", "pair_by"}


class ImageSet(NamedTuple):
    """A folder of high-resolution images, and how their low-resolution versions are found.

    Attributes:
        name: in tables.
        hr: folder.
        lr: folder of the low-resolution images, as `folder_samples` takes it, or None.
        by_order: whether they are paired in the order of their names.
    """

    name: str
    hr: Path
    lr: Path | None = None
    by_order: bool = False


def image_sets(names, sets_file=None, lr_folder=None, by_order=False):
    """Returns the sets that were asked for, as a list of `ImageSet`.

    Args:
        names: folders of images, or names that stand in `sets_file`.
        sets_file: TOML file with a table for each set: hr, the folder of its images, and if wanted lr and pair_by
            ('name' or 'order'). Folders are relative to the file.
        lr_folder: of a single set its folder of low-resolution images; of several the folder with a folder for each,
            which has the name of the set; None for those of the file, or none.
        by_order: pair in the order of the names.

    Raises:
        UserError: a folder is missing, two sets have the same name, or the file is not as it should be.
    """
    known = _read(sets_file) if sets_file else {}
    sets = [known[name]._replace(by_order=known[name].by_order or by_order) if name in known
            else ImageSet(Path(name).resolve().name, Path(name), None, by_order) for name in names]
    for found in sets:
        if not found.hr.is_dir():
            listed = f", and no set in {sets_file}, which has {', '.join(known) or 'none'}" if sets_file else ""
            raise UserError(f"{found.hr}: there is no such folder{listed}")
        if sum(found.name == other.name for other in sets) > 1:
            raise UserError(f"{found.hr}: another set is called {found.name} too: name them apart in a file of sets")
    if lr_folder is None:
        return sets
    if len(sets) == 1:
        return [sets[0]._replace(lr=lr_folder)]
    for found in sets:
        if not (lr_folder / found.name).is_dir():
            raise UserError(f"{lr_folder / found.name}: there is no such folder: of several sets, the low-resolution "
                            "images are in folders with the names of the sets")
    return [found._replace(lr=lr_folder / found.name) for found in sets]


def _read(path):
    """Returns the sets of a TOML file by name."""
    try:
        tables = tomllib.loads(read_text(path))
    except ValueError as error:
        raise UserError(f"{path}: is no TOML file: {error}") from error
    sets = {}
    for name, table in tables.items():
        if not isinstance(table, dict) or "hr" not in table or not set(table) <= KEYS:
            raise UserError(f"{path}: the set {name} must be a table with hr, and if wanted lr and pair_by")
        if not all(isinstance(value, str) for value in table.values()):
            raise UserError(f"{path}: in the set {name}, {', '.join(table)} must be texts")
        if table.get("pair_by", "name") not in PAIRINGS:
            raise UserError(f"{path}: in the set {name}, pair_by must be {' or '.join(PAIRINGS)}")
        lr = table.get("lr")
        sets[name] = ImageSet(name, path.parent / table["hr"], lr and path.parent / lr,
                              table.get("pair_by") == "order")
    return sets
