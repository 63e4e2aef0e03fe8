"""The original images that super-resolved ones are compared with."""

from collections import defaultdict

from errors import UserError
from evaluation import plain_name
from imaging.image_files import find_images, read_image


def find_hr(lr_paths, hr_folder):
    """Pairs low-resolution images with their originals.

    Args:
        lr_paths: paths of images.
        hr_folder: folder of originals, named as the low-resolution images, or like them but for what is usually
            added to a name (x4, _LRBI_x4, _SRF_4_LR, ...); the suffix and its case do not matter.

    Returns:
        A dict from the path of an image to the path of its original; images without one are left out.

    Raises:
        UserError: there is no such folder, no image is in it, or more than one original fits.
    """
    by_name = defaultdict(list)
    for path in find_images(hr_folder):
        by_name[plain_name(path)].append(path)
    return {lr_path: _best(lr_path, by_name[plain_name(lr_path)]) for lr_path in lr_paths
            if plain_name(lr_path) in by_name}


def load_hr(path, lr_shape, scale):
    """Reads the original of an image of shape `lr_shape`, (H scale, W scale, 3), uint8.

    It may be larger by less than `scale` pixels, which are cropped on the right and at the bottom, as the
    low-resolution images of data sets are made.

    Raises:
        UserError: the sizes do not fit, or the file cannot be read.
    """
    hr = read_image(path)
    height, width = lr_shape[0] * scale, lr_shape[1] * scale
    if not (0 <= hr.shape[0] - height < scale and 0 <= hr.shape[1] - width < scale):
        raise UserError(f"{path}: is {hr.shape[1]} x {hr.shape[0]}, which does not fit the super-resolved image of "
                        f"{width} x {height}: an original may be larger by less than {scale} pixels")
    return hr[:height, :width]


def _best(lr_path, hr_paths):
    """Returns the one original, or the one of several whose name is the image's own."""
    if len(hr_paths) > 1:
        hr_paths = [path for path in hr_paths if path.stem.lower() == lr_path.stem.lower()] or hr_paths
    if len(hr_paths) > 1:
        raise UserError(f"{lr_path}: {hr_paths[0]} and {hr_paths[1].name} could both be its original: "
                        "rename or remove one")
    return hr_paths[0]
