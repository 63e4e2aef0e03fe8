"""The original images that super-resolved ones are compared with."""

from datasets.pairing import pair_by_name
from errors import UserError
from imaging.image_files import find_images, read_image


def find_hr(lr_paths, hr_folder, scale):
    """Pairs low-resolution images with their originals by name.

    Args:
        lr_paths: paths of images.
        hr_folder: folder of originals, named as `datasets.pairing.pair_by_name` allows.
        scale: of the low-resolution images.

    Returns:
        A dict from the path of an image to the path of its original; images without one are left out.

    Raises:
        UserError: there is no such folder, no image is in it, or more than one original fits.
    """
    pairs, _, _ = pair_by_name(find_images(hr_folder), lr_paths, scale)
    return {lr: hr for hr, lr in pairs.items()}


def load_hr(path, lr_shape, scale):
    """Reads the original of an image of shape `lr_shape`, (H scale, W scale, 3), uint8, in sRGB as figures are.

    It may be larger by less than `scale` pixels, which are cropped on the right and at the bottom, as the
    low-resolution images of data sets are made.

    Raises:
        UserError: the sizes do not fit, or the file cannot be read.
    """
    hr = read_image(path, as_srgb=True)
    height, width = lr_shape[0] * scale, lr_shape[1] * scale
    if not (0 <= hr.shape[0] - height < scale and 0 <= hr.shape[1] - width < scale):
        raise UserError(f"{path}: is {hr.shape[1]} x {hr.shape[0]}, which does not fit the super-resolved image of "
                        f"{width} x {height}: an original may be larger by less than {scale} pixels")
    return hr[:height, :width]
