"""DIV2K's layout of a data set of numpy arrays: its folders, file names and image ids."""

import re
from pathlib import Path


def hr_dir(dataset, subset):
    """Returns the folder of the high-resolution images of a `subset` ('train' or 'valid')."""
    return Path(dataset) / f"DIV2K_{subset}_HR"


def lr_dir(dataset, subset, downgrade, scale):
    """Returns the folder of the low-resolution images of a `subset`."""
    return Path(dataset) / f"DIV2K_{subset}_LR_{downgrade}" / f"X{scale}"


def hr_path(dataset, subset, image_id):
    """Returns the path of a high-resolution image."""
    return hr_dir(dataset, subset) / f"{image_id:04d}.npy"


def lr_path(dataset, subset, downgrade, scale, image_id):
    """Returns the path of a low-resolution image."""
    return lr_dir(dataset, subset, downgrade, scale) / f"{image_id:04d}x{scale}.npy"


def image_ids(dataset, subset):
    """Returns the sorted ids of the high-resolution images that are there."""
    return sorted(int(path.stem) for path in hr_dir(dataset, subset).glob("*.npy")
                  if re.fullmatch(r"\d{4,}", path.stem))
