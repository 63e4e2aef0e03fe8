"""Pairs of images to measure networks on: from a data set, or from folders."""

import re
from pathlib import Path
from typing import NamedTuple

from datasets.div2k import ImagePair, find_pairs, hr_path, image_ids, load_pair, lr_path
from errors import UserError
from imaging.image_files import find_images, read_image
from imaging.resize import downscale


class Sample(NamedTuple):
    """A high-resolution image, and its low-resolution version as a file or made of it."""

    name: str
    hr: Path
    lr: Path | None
    border: str = "replicate"

    def load(self, scale):
        """Returns `hr`, cropped to a multiple of `scale`, and `lr`, (H, W, 3) uint8."""
        hr = read_image(self.hr)
        if min(hr.shape[:2]) < scale:
            raise UserError(f"{self.hr}: is {hr.shape[0]} x {hr.shape[1]}, too small for scale {scale}")
        hr = hr[:hr.shape[0] // scale * scale, :hr.shape[1] // scale * scale]
        if self.lr is None:
            return hr, downscale(hr, scale, self.border)
        lr = read_image(self.lr)
        if (lr.shape[0] * scale, lr.shape[1] * scale) != hr.shape[:2]:
            raise UserError(f"{self.lr}: is {lr.shape[0]} x {lr.shape[1]}, which times {scale} is not the "
                            f"{hr.shape[0]} x {hr.shape[1]} of {self.hr}, cropped to a multiple of {scale}")
        return hr, lr


class DIV2KSample(NamedTuple):
    """A pair of arrays of a data set."""

    pair: ImagePair

    name = property(lambda self: f"{self.pair.image_id:04d}")
    hr = property(lambda self: self.pair.hr.path)
    lr = property(lambda self: self.pair.lr.path)

    def load(self, scale):
        """Returns `hr`, cropped to a multiple of `scale`, and `lr`, (H, W, 3) uint8."""
        return load_pair(self.pair, scale)


class BadSample(NamedTuple):
    """An image of a data set whose arrays are missing or malformed: loading it says why."""

    name: str
    hr: Path
    lr: Path
    error: UserError

    def load(self, scale):
        """Raises the error."""
        raise self.error


def dataset_samples(dataset, downgrade, scale, ids=None):
    """Returns the validation images of a data set as samples, the bad ones as `BadSample`.

    Raises:
        UserError: a folder is missing, or all images are bad.
    """
    try:
        return [DIV2KSample(pair) for pair in find_pairs(dataset, "valid", scale, downgrade, ids)]
    except UserError:
        samples = [_dataset_sample(dataset, downgrade, scale, image_id)
                   for image_id in ids or image_ids(dataset, "valid")]
        if all(isinstance(sample, BadSample) for sample in samples):
            raise
        return samples


def _dataset_sample(dataset, downgrade, scale, image_id):
    try:
        (pair,) = find_pairs(dataset, "valid", scale, downgrade, [image_id])
        return DIV2KSample(pair)
    except UserError as error:
        return BadSample(f"{image_id:04d}", hr_path(dataset, "valid", image_id),
                         lr_path(dataset, "valid", downgrade, scale, image_id), error)


def folder_samples(hr_folder, lr_folder, scale, border):
    """Returns the images of a folder as samples.

    Args:
        hr_folder: folder of high-resolution images.
        lr_folder: folder of their low-resolution versions, or one with a folder XS for each scale S; None to make
            them by MATLAB's bicubic. They are paired by name, without what is usually added to it (x4, _LRBI_x4,
            _SRF_4_LR, ...), else, where the numbers are equal, in the order of the names.
        scale: 2, 3 or 4.
        border: of the low-resolution images that are made, 'replicate' or 'symmetric'.
    """
    hr_paths = find_images(hr_folder)
    if lr_folder is None:
        return [Sample(path.stem, path, None, border) for path in hr_paths]
    if (lr_folder / f"X{scale}").is_dir():
        lr_folder = lr_folder / f"X{scale}"
    lr_paths = find_images(lr_folder)
    lr_by_name = {plain_name(path): path for path in lr_paths}
    if all(plain_name(path) in lr_by_name for path in hr_paths):
        lr_paths = [lr_by_name[plain_name(path)] for path in hr_paths]
    elif len(lr_paths) != len(hr_paths):
        missing = next(path for path in hr_paths if plain_name(path) not in lr_by_name)
        raise UserError(f"{lr_folder}: holds {len(lr_paths)} images for the {len(hr_paths)} of {hr_folder}, and none "
                        f"is named after {missing.name}")
    return [Sample(hr.stem, hr, lr) for hr, lr in zip(hr_paths, lr_paths, strict=True)]


def plain_name(path):
    """Returns an image's name without what data sets add to it for scale and resolution."""
    name = path.stem.lower()
    while True:
        shorter = re.sub(r"([_-]?x\d|[_-](lrbi|lr|hr|gt|bicubic|srf_\d|sr))$", "", name)
        if shorter == name or not shorter:
            return name
        name = shorter
