"""Data sets of numpy arrays in DIV2K's layout: folders, file names, image ids, and pairs of images."""

import re
from pathlib import Path
from typing import NamedTuple

from datasets.arrays import StoredImage, stored_image
from errors import UserError


class ImagePair(NamedTuple):
    """One image in high and in low resolution, both stored.

    Whatever trains or validates asks a pair only for `name`, `folder`, `paths`, `lr_shape`, `load` and `crop`, so that
    another class with these can make its low resolution itself.

    Attributes:
        name: the image's id, which is the name of its files, such as '0801'.
    """

    name: str
    hr: StoredImage
    lr: StoredImage

    @property
    def folder(self):
        """The folder that messages name."""
        return self.hr.path.parent

    @property
    def paths(self):
        """The files of its arrays."""
        return self.hr.path, self.lr.path

    @property
    def lr_shape(self):
        """Shape (H, W, 3) of `lr`, known without reading it."""
        return self.lr.shape

    def load(self, scale):
        """Returns `hr`, cropped to `scale` times the size of `lr`, and `lr`, (H, W, 3) uint8."""
        height, width, _ = self.lr_shape
        return self.hr.read(0, height * scale)[:, :width * scale], self.lr.read()

    def crop(self, y, x, size, scale, number):
        """Returns the patches of `hr` and `lr` whose corner is at (y, x) in LR pixels, `size` LR pixels on a side.

        `number` is that of the sample, of which stored images make no use.
        """
        hr = self.hr.read(y * scale, (y + size) * scale)[:, x * scale:(x + size) * scale]
        return hr, self.lr.read(y, y + size)[:, x:x + size]


def hr_dir(dataset, subset):
    """Returns the folder of the high-resolution images of a `subset` ('train' or 'valid')."""
    return Path(dataset) / f"DIV2K_{subset}_HR"


def lr_dir(dataset, subset, downgrade, scale):
    """Returns the folder of the low-resolution images of a `subset`."""
    return Path(dataset) / f"DIV2K_{subset}_LR_{downgrade}" / f"X{scale}"


def validation_subset(dataset, ids):
    """Returns 'valid', or 'train' where validation images are chosen by `ids` and have no folder of their own."""
    return "train" if ids is not None and Path(dataset).is_dir() and not hr_dir(dataset, "valid").is_dir() else "valid"


def hr_path(dataset, subset, image_id):
    """Returns the path of a high-resolution image."""
    return hr_dir(dataset, subset) / f"{image_id:04d}.npy"


def lr_path(dataset, subset, downgrade, scale, image_id):
    """Returns the path of a low-resolution image."""
    return lr_dir(dataset, subset, downgrade, scale) / f"{image_id:04d}x{scale}.npy"


def find_lr_dir(dataset, subset, downgrade, scale):
    """Returns the folder of the low-resolution arrays that is there, as `lr_dir` or as DIV2K's later tracks have it.

    Those (mild, difficult, wild) have no folder for the scale, and bicubic x8 is a folder of its own. Where there is
    none of them, that of `lr_dir` is returned.
    """
    usual = lr_dir(dataset, subset, downgrade, scale)
    others = [usual.parent, *([usual.parent.with_name(f"DIV2K_{subset}_LR_x8")]
                              if (downgrade, scale) == ("bicubic", 8) else [])]
    found = [folder for folder in (usual, *others) if _stems(folder)]
    return found[0] if found else usual


def find_pairs(dataset, subset, scale, downgrade, ids=None, on_bad=None):
    """Returns the `ImagePair`s of a data set, each array checked by its header.

    Any file name is an image's id. A low-resolution array is named after it: NAMExS.npy for scale S, or with what
    DIV2K's later tracks add (0001x4m, 0001x4w1; an image may have several). What has no partner is said in a line.

    Args:
        dataset: folder in DIV2K's layout with numpy arrays.
        subset: 'train' or 'valid'.
        scale: 2, 3, 4 or 8.
        downgrade: the part of the folder's name behind DIV2K_train_LR_, such as 'bicubic'.
        ids: numbers of the images to take, which are the numbers that their names begin with; by default all images.
        on_bad: function of (name, path of hr, path of lr, error) for each pair that cannot be used, which is then
            left out; by default its error is raised.

    Raises:
        UserError: a folder or array is missing or malformed, or high and low resolution do not fit.
    """
    hr_folder, lr_folder = hr_dir(dataset, subset), find_lr_dir(dataset, subset, downgrade, scale)
    for folder in (Path(dataset), hr_folder, lr_folder):
        if not folder.is_dir():
            raise UserError(f"{folder}: there is no such folder; convert.py makes a data set{_downgrades(lr_folder)}")
    all_names = _stems(hr_folder)
    lr_names = _lr_names(lr_folder, scale)
    if surplus := [name for name in lr_names if name not in set(all_names)]:
        print(f"{lr_folder}: arrays without a high-resolution image, left out: {len(surplus)}, such as "
              f"{lr_names[surplus[0]][0]}.npy")
    pairs = []
    for name in all_names if ids is None else _chosen(hr_folder, all_names, ids):
        for lr_name in lr_names.get(name, [f"{name}x{scale}"]):
            paths = hr_folder / f"{name}.npy", lr_folder / f"{lr_name}.npy"
            try:
                pairs.append(_check_pair(name, *paths, scale))
            except UserError as error:
                if on_bad is None:
                    raise
                on_bad(name, *paths, error)
    if not all_names:
        raise UserError(f"{hr_folder}: there are no arrays NAME.npy in it{_nested(hr_folder)}")
    return pairs


def stored_hr_images(dataset, subset, ids=None):
    """Returns the name and the `StoredImage` of each high-resolution array; arguments and errors as in `find_pairs`."""
    folder = hr_dir(dataset, subset)
    for needed in (Path(dataset), folder):
        if not needed.is_dir():
            raise UserError(f"{needed}: there is no such folder; convert.py makes a data set")
    names = _stems(folder)
    if not names:
        raise UserError(f"{folder}: there are no arrays NAME.npy in it{_nested(folder)}")
    return [(name, stored_image(folder / f"{name}.npy"))
            for name in (names if ids is None else _chosen(folder, names, ids))]


def _stems(folder):
    """Returns the sorted names of the arrays in a folder, which need not be there, without their suffix."""
    return sorted(path.stem for path in folder.glob("*.npy") if not path.name.startswith("."))


def _lr_names(folder, scale):
    """Returns the names of low-resolution arrays by the name of their image."""
    names = {}
    for stem in _stems(folder):
        if match := re.fullmatch(rf"(.+)x{scale}([a-z]\d*)?", stem):
            names.setdefault(match[1], []).append(stem)
    return names


def _chosen(folder, names, ids):
    """Returns the names whose number is one of `ids`; names without a number are left out with a line."""
    numbers = {name: int(match[0]) for name in names if (match := re.match(r"\d+", name))}
    there = set(numbers.values())
    for number in ids:
        if number not in there:
            raise UserError(f"{folder / f'{number:04d}.npy'}: there is no such array")
    if others := [name for name in names if name not in numbers]:
        print(f"{folder}: arrays whose names do not begin with a number, left out: {len(others)}, such as "
              f"{others[0]}.npy")
    return [name for name in names if numbers.get(name) in ids]


def _nested(folder):
    """Returns what to do where the arrays lie one folder deeper, as some archives have them."""
    for inner in sorted(path for path in folder.iterdir() if path.is_dir()):
        if _stems(inner):
            return f", but there are in its folder {inner.name}: move them up"
    return "; `convert.py numpy` writes them"


def _downgrades(lr_folder):
    """Returns which downgrades there are, where the one that was asked for is not."""
    folder = lr_folder.parent
    prefix = folder.name[:folder.name.index("_LR_") + 4] if "_LR_" in folder.name else None
    there = sorted(path.name.removeprefix(prefix) for path in folder.parent.glob(f"{prefix}*")) if prefix else []
    return f"; the downgrades in this one are {', '.join(there)}" if there and not lr_folder.is_dir() else ""


def _check_pair(name, hr_file, lr_file, scale):
    hr, lr = stored_image(hr_file), stored_image(lr_file)
    if tuple(size // scale for size in hr.shape[:2]) != lr.shape[:2]:
        raise UserError(f"{lr_file}: is {lr.shape[0]} x {lr.shape[1]}, which does not fit {hr_file} of "
                        f"{hr.shape[0]} x {hr.shape[1]} at scale {scale}")
    return ImagePair(name, hr, lr)
