"""Folders of high-resolution images and of their low-resolution versions, paired."""

import re

from datasets.pairing import RENAME, pair_all, pair_by_order, without_lr
from errors import UserError
from imaging.image_files import find_images
from imaging.photos import image_size


def high_resolution(folder):
    """Returns the paths of the high-resolution images in a folder, and those of low-resolution versions beside them.

    Those are known by their marks, see `without_lr`, or as NAMExS where they have an S-th of the sides of NAME.

    Raises:
        UserError: as `find_images`.
    """
    paths, lr_versions = without_lr(find_images(folder))
    by_stem = {path.stem: path for path in paths}
    reduced = [path for path in paths if (match := re.fullmatch(r"(.+?)[_-]?x(\d)", path.stem))
               and match[1] in by_stem and _is_reduced(by_stem[match[1]], path, int(match[2]))]
    return [path for path in paths if path not in set(reduced)], sorted(lr_versions + reduced)


def _is_reduced(hr_path, lr_path, scale):
    hr_size, lr_size = image_size(hr_path), image_size(lr_path)
    return scale > 1 and None not in (hr_size, lr_size) and tuple(side // scale for side in hr_size) == lr_size


def pair_folders(hr_folder, lr_folder, scale, by_order=False, advice=RENAME):
    """Returns pairs of paths (hr, lr) of the images in two folders; what is left out, or paired by order, is said.

    Args:
        hr_folder: folder of high-resolution images. Low-resolution versions of them in the same folder are left out.
        lr_folder: folder of their low-resolution versions, or one with a folder XS for each scale S.
        scale: 2, 3, 4 or 8.
        by_order: pair the images in the order of their names, not by their names.
        advice: what to do where an image has no partner.

    Raises:
        UserError: a folder is missing, or an image has no partner or several.
    """
    hr_paths, lr_versions = high_resolution(hr_folder)
    lr_folder = folder_of_scale(lr_folder, scale)
    lr_paths = lr_versions if lr_folder.resolve() == hr_folder.resolve() else find_images(lr_folder)
    if by_order:
        return pair_in_order(hr_folder, hr_paths, lr_folder, lr_paths)
    pairs, left_over = pair_all(hr_paths, lr_paths, scale, advice)
    if left_over:
        say_left_out(lr_folder, "images without an original", left_over)
    return pairs


def pair_folders_below(hr_folder, lr_folder, scale, by_order=False, advice=RENAME):
    """Returns the pairs of two folders and of their subfolders, which have the same names in both, as `pair_folders`.

    Low-resolution images may lie below the folder of high-resolution ones.
    """
    lr_folder = folder_of_scale(lr_folder, scale)
    lr_place, is_one_folder = lr_folder.resolve(), lr_folder.resolve() == hr_folder.resolve()
    folders = {path.parent for path in find_images(hr_folder, recursive=True)
               if is_one_folder or lr_place not in path.resolve().parents}
    if not folders:
        raise UserError(f"{hr_folder}: there are no images in it but those in {lr_folder}")
    return [pair for folder in sorted(folders)
            for pair in pair_folders(folder, lr_folder / folder.relative_to(hr_folder), scale, by_order, advice)]


def folder_of_scale(folder, scale):
    """Returns the folder XS for the scale S in `folder`, or `folder` itself where there is none."""
    below = folder / f"X{scale}"
    return below if below.is_dir() else folder


def pair_in_order(hr_folder, hr_paths, folder, paths):
    """Returns `pair_by_order` of the images of two folders, and says so."""
    print(f"{folder}: paired with {hr_folder} in the order of the names")
    return pair_by_order(hr_paths, paths)


def say_left_out(folder, what, paths):
    """Prints how many images are left out, and the name of one."""
    print(f"{folder}: {what}, left out: {len(paths)}, such as {paths[0].name}")
