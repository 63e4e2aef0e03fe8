"""Pairs of images to measure networks on: from a data set, or from folders."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from datasets.degraded import DegradedPair, find_or_make_pairs
from datasets.div2k import ImagePair, validation_subset
from datasets.folders import high_resolution, pair_folders, say_left_out
from datasets.pairing import RENAME
from errors import UserError
from imaging.image_files import read_image
from imaging.resize import downscale


class Sample(NamedTuple):
    """A high-resolution image, and its low-resolution version as a file or made of it; `read` reads such files."""

    name: str
    hr: Path
    lr: Path | None
    border: str = "replicate"
    read: Callable = read_image

    def load(self, scale):
        """Returns `hr`, cropped to a multiple of `scale`, and `lr`, (H, W, 3) uint8."""
        hr = self.read(self.hr)
        if min(hr.shape[:2]) < scale:
            raise UserError(f"{self.hr}: is {hr.shape[0]} x {hr.shape[1]}, too small for scale {scale}")
        hr = hr[:hr.shape[0] // scale * scale, :hr.shape[1] // scale * scale]
        if self.lr is None:
            return hr, downscale(hr, scale, self.border)
        lr = self.read(self.lr)
        if (lr.shape[0] * scale, lr.shape[1] * scale) != hr.shape[:2]:
            raise UserError(f"{self.lr}: is {lr.shape[0]} x {lr.shape[1]}, which times {scale} is not the "
                            f"{hr.shape[0]} x {hr.shape[1]} of {self.hr}, cropped to a multiple of {scale}")
        return hr, lr


class DIV2KSample(NamedTuple):
    """A pair of arrays of a data set."""

    pair: ImagePair | DegradedPair

    name = property(lambda self: self.pair.name)
    hr = property(lambda self: self.pair.hr.path)
    lr = property(lambda self: self.pair.lr.path if isinstance(self.pair, ImagePair) else None)

    def load(self, scale):
        """Returns `hr`, cropped to a multiple of `scale`, and `lr`, (H, W, 3) uint8."""
        return self.pair.load(scale)


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

    Where there is no folder for them, those that are chosen by `ids` come from the training folder, as in training.

    Raises:
        UserError: a folder or an id is missing, or all images are bad.
    """
    bad = []
    subset = validation_subset(dataset, ids)
    pairs = find_or_make_pairs(dataset, subset, scale, downgrade, ids, lambda *fault: bad.append(BadSample(*fault)))
    if not pairs:
        raise bad[0].error
    return sorted([*map(DIV2KSample, pairs), *bad], key=lambda sample: str(sample.lr))


def folder_samples(hr_folder, lr_folder, scale, border, by_order=False, read=read_image, advice=RENAME):
    """Returns the images of a folder as samples; what is left out, or paired by order, is said in a line.

    Args:
        hr_folder: folder of high-resolution images. Low-resolution versions of them in the same folder are left out.
        lr_folder: folder of their low-resolution versions, or one with a folder XS for each scale S; None to make
            them by MATLAB's bicubic. They are paired as `datasets.pairing.pair_by_name` does.
        scale: 2, 3, 4 or 8.
        border: of the low-resolution images that are made, 'replicate' or 'symmetric'.
        by_order: pair the images in the order of their names instead.
        read: function from the path of an image file to its pixels, (H, W, 3) uint8.
        advice: what to do where an image has no partner.

    Raises:
        UserError: a folder is missing, or an image has no partner or several.
    """
    if lr_folder is not None:
        pairs = pair_folders(hr_folder, lr_folder, scale, by_order, advice)
        return [Sample(hr.stem, hr, lr, read=read) for hr, lr in pairs]
    hr_paths, lr_versions = high_resolution(hr_folder)
    if lr_versions:
        say_left_out(hr_folder, "low-resolution versions", lr_versions)
    return [Sample(path.stem, path, None, border, read) for path in hr_paths]
