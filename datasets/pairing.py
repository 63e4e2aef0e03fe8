"""Which low-resolution image belongs to which high-resolution one, by their names."""

import re
from collections import defaultdict
from itertools import product

from errors import UserError

HR_MARK = r"[_-](hr|gt)$"
LR_MARK = r"[_-](lr|lrbi|biclr)([_-]?x\d)?$"
RENAME = "rename them"
EXAMPLES = 3  # files that are named where many do not fit


def pair_by_name(hr_paths, lr_paths, scale):
    """Pairs images by name: first where the file names are equal, then the stems, then without what data sets add.

    That is x4, x4m and x4d (DIV2K's mild and difficult), _LRBI_x4, _SRF_4_HR and _SRF_4_LR, _bicLRx4, _HR, _LR, _GT
    and the like, in either name; numbers in it must be the scale. Of several ways to pair, the one that leaves out
    least of the names is taken.

    Args:
        hr_paths: paths of high-resolution images.
        lr_paths: paths of low-resolution images.
        scale: of the low-resolution images.

    Returns:
        A dict from the path of a high-resolution image to the path of its low-resolution version; and the paths of
        both kinds that have no partner, in two lists.

    Raises:
        UserError: one image fits several others equally well, or two names differ only in upper and lower case.
    """
    hr_names, lr_names = ({path: _variants(path, scale) for path in paths} for paths in (hr_paths, lr_paths))
    pairs = {}
    depth = max((len(names) for names in (*hr_names.values(), *lr_names.values())), default=0)
    # Level by level, counted in what is left out of both names together.
    for level in range(2 * depth):
        found = [(hr, lr) for i in range(level + 1) for hr, lr in _equal(hr_names, lr_names, i, level - i)]
        _check_one_to_one(found)
        for hr, lr in found:
            pairs[hr] = lr
            del hr_names[hr], lr_names[lr]
    _check_case(hr_names, lr_names)
    return {hr: pairs[hr] for hr in hr_paths if hr in pairs}, list(hr_names), list(lr_names)


def pair_all(hr_paths, lr_paths, scale, advice=RENAME):
    """Pairs images as `pair_by_name` does; every high-resolution image must have a partner.

    Args:
        hr_paths, lr_paths, scale: as for `pair_by_name`.
        advice: what to do where one has none.

    Returns:
        A list of pairs (hr, lr) in the order of `hr_paths`, and the paths of low-resolution images that are left over.

    Raises:
        UserError: as `pair_by_name`, or names the images without a partner.
    """
    pairs, lonely, left_over = pair_by_name(hr_paths, lr_paths, scale)
    if lonely:
        folder = lr_paths[0].parent if lr_paths else "the folder of low-resolution images"
        raise UserError(f"{folder}: no image is named after {_examples(lonely)} at scale {scale}: {advice}")
    return list(pairs.items()), left_over


def pair_by_order(hr_paths, lr_paths):
    """Pairs images in the order of their names.

    Raises:
        UserError: their numbers differ.
    """
    if len(hr_paths) != len(lr_paths):
        raise UserError(f"{len(hr_paths)} high-resolution and {len(lr_paths)} low-resolution images cannot be paired "
                        "in their order")
    return list(zip(hr_paths, lr_paths, strict=True))


def without_lr(paths):
    """Leaves out the low-resolution versions of images of the same list, such as NAME_LR beside NAME_HR.

    Returns:
        Two lists of paths: what is left, and what is left out.
    """
    stems = {_strip(path.stem, HR_MARK) for path in paths if not _is_lr(path.stem)}
    left_out = [path for path in paths if _is_lr(path.stem) and _strip(path.stem, LR_MARK) in stems]
    return [path for path in paths if path not in set(left_out)], left_out


def _is_lr(stem):
    return re.search(LR_MARK, stem, re.IGNORECASE) is not None


def _strip(stem, pattern):
    return re.sub(pattern, "", stem, flags=re.IGNORECASE)


def _variants(path, scale):
    """Returns the names an image goes by: the file's, its stem, and the stem without one addition after the other."""
    addition = rf"([_-]?x{scale}([md]|w\d)?|[_-](lrbi|biclr|lr|hr|gt|bicubic|bic|srf[_-]{scale}|sr))$"
    names = [path.name, path.stem]
    while (shorter := _strip(names[-1], addition)) not in (names[-1], ""):
        names.append(shorter)
    return names


def _equal(hr_names, lr_names, hr_level, lr_level):
    """Returns the pairs whose names are equal when so much is left out of each."""
    if (hr_level == 0) != (lr_level == 0):  # a file's whole name is compared with whole names alone
        return []
    by_name = defaultdict(list), defaultdict(list)
    for index, names, level in zip(by_name, (hr_names, lr_names), (hr_level, lr_level), strict=True):
        for path, variants in names.items():
            if level < len(variants):
                index[variants[level]].append(path)
    return [pair for name, hrs in by_name[0].items() for pair in product(hrs, by_name[1].get(name, ()))]


def _check_one_to_one(pairs):
    for side in (0, 1):
        partners = defaultdict(list)
        for pair in pairs:
            partners[pair[side]].append(pair[1 - side])
        for path, others in partners.items():
            if len(others) > 1:
                raise UserError(f"{path}: fits {_examples(sorted(others))} equally well by name: rename or remove "
                                "what does not belong")


def _check_case(hr_names, lr_names):
    by_folded = {name.casefold(): path for path, names in lr_names.items() for name in names[1:]}
    for path, names in hr_names.items():
        for name in names[1:]:
            if name.casefold() in by_folded:
                raise UserError(f"{path}: differs from {by_folded[name.casefold()].name} only in upper and lower case: "
                                "rename one")


def _examples(paths):
    names = [path.name for path in paths[:EXAMPLES]]
    more = len(paths) - len(names)
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")
