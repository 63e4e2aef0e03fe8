"""Super-resolved images that are there, anyone's, to be measured like a model's; and those that a model makes."""

from pathlib import Path
from typing import NamedTuple

from datasets.folders import folder_of_scale, high_resolution, pair_in_order
from datasets.pairing import RENAME, pair_all
from errors import UserError
from files import make_folder
from imaging.image_files import find_images, read_image, to_uint8


class OutputSample(NamedTuple):
    """A high-resolution image, and a super-resolved one that is measured as it is."""

    name: str
    hr: Path
    lr: Path  # the super-resolved one: it is what goes into `Existing`

    def load(self, scale):
        """Returns `hr`, cropped to the size of the super-resolved image, and that image, (H, W, 3) uint8."""
        hr, sr = read_image(self.hr), read_image(self.lr)
        left_out = [full - part for full, part in zip(hr.shape[:2], sr.shape[:2], strict=True)]
        if not all(0 <= number < scale for number in left_out):
            raise UserError(f"{self.lr}: is {sr.shape[0]} x {sr.shape[1]}, and {self.hr} is {hr.shape[0]} x "
                            f"{hr.shape[1]}: less than {scale} rows and columns may be missing at scale {scale}")
        return hr[:sr.shape[0], :sr.shape[1]], sr


class Existing:
    """Takes images as they are; like a `SuperResolver` it has a `name`, a `scale` and `num_parameters`, 0."""

    num_parameters = 0

    def __init__(self, folder, scale):
        self.name, self.scale = str(folder), scale

    def __call__(self, sr):
        return sr


def output_samples(hr_folder, sr_folder, scale, by_order=False, advice=RENAME):
    """Returns the images of two folders as samples.

    Args:
        hr_folder: folder of high-resolution images.
        sr_folder: folder of super-resolved ones, or one with a folder XS for each scale S. They are paired as
            low-resolution images are; where all names end in the same way, as in NAME_RCAN_x4, that is left out.
        scale: 2, 3, 4 or 8.
        by_order: pair the images in the order of their names instead.
        advice: what to do where an image has no partner.

    Raises:
        UserError: a folder is missing, or an image has no partner or several.
    """
    hr_paths, _ = high_resolution(hr_folder)
    sr_folder = folder_of_scale(sr_folder, scale)
    sr_paths = find_images(sr_folder)
    if by_order:
        pairs = pair_in_order(hr_folder, hr_paths, sr_folder, sr_paths)
    else:
        names = _without_common_end(sr_paths, scale)
        pairs, left_over = pair_all(hr_paths, list(names), scale, advice)
        pairs = [(hr, names[name]) for hr, name in pairs]
        if left_over:
            raise UserError(f"{names[left_over[0]]}: there is no image in {hr_folder} that it was made from")
    return [OutputSample(hr.stem, hr, sr) for hr, sr in pairs]


def saving(folder):
    """Returns a function of a sample, a model's name and its output that writes it to `folder`: NAME_MODEL.png.

    Raises:
        UserError: the folder cannot be made.
    """
    from imaging.photos import Photo, write_photo

    make_folder(folder)

    def save(sample, model, sr):
        write_photo(output_path(folder, sample.name, model), Photo(to_uint8(sr)))

    return save


def output_path(folder, image, model):
    """Returns the path of an output that `saving` has written."""
    return folder / f"{image}_{Path(model).stem.replace(' ', '_')}.png"


def _without_common_end(paths, scale):
    """Returns the paths by what they are called without what all names have at their end, such as _RCAN."""
    stems = [path.stem.removesuffix(f"x{scale}").rstrip("_-") for path in paths]
    ends = [{stem[i:] for i, letter in enumerate(stem) if i and letter in "_-"} for stem in stems]
    end = max(set.intersection(*ends), key=len, default="") if len(stems) > 1 else ""
    return {path.with_name(stem.removesuffix(end) + path.suffix): path
            for path, stem in zip(paths, stems, strict=True)}
