"""Reading by Pillow, which knows most of the formats and their side information; 16 bits, which it would reduce, by
libvips.
"""

from importlib import import_module

from PIL import Image

from imaging import colour, vips
from imaging.limits import check_frames, check_size
from imaging.tags import ORIENTATION, RESOLUTION_UNIT, X_RESOLUTION, Y_RESOLUTION


def read(file, start, form, check_before=None, check_after=None):
    """Reads an image file.

    Args:
        file: binary file.
        start: its first bytes.
        form: its `Format`.
        check_before, check_after: called with the PIL image before and after its pixels are decoded, to raise an error.

    Returns:
        Pixels as in `Photo`, but not yet turned upright; tags of EXIF that go with them, number to value; the colour
        profile or None; and the resolution (x, y) in dpi where the file tells it otherwise than by tags, or None.

    Raises:
        Unsupported; OSError and what else a damaged file leads Pillow to raise.
    """
    with open_file(file, form) as image:
        if check_before:
            check_before(image)
        image.load()
        if check_after:
            check_after(image)
        tags, icc_profile, resolution = side_information(image)
        if not form.is_deep(start):
            return colour.from_pillow(image), tags, icc_profile, resolution
    del image  # and its memory
    with vips.errors():
        return vips.to_array(vips.open_file(f"{form.vips}load", file.name)), tags, icc_profile, resolution


def read_with_libvips(file, start, form):
    """Reads as `read` does, but the pixels by libvips."""
    with open_file(file, form) as image:
        information = side_information(image)
    with vips.errors():
        image = vips.open_file(f"{form.vips}load", file.name)
        check_size(image.width, image.height)
        return vips.to_array(image), *information


def open_file(file, form):
    """Opens a file by Pillow's class for its format, and checks its size and that it has one frame.

    `Image.open` would not tell the size of too large an image.
    """
    try:
        plugin = getattr(import_module(f"PIL.{form.pillow}ImagePlugin"), f"{form.pillow}ImageFile")
        image = plugin(file)
    except Image.DecompressionBombError:  # which WebP raises by itself
        with vips.errors():
            image = vips.open_file(f"{form.vips}load", file.name)
            check_size(image.width, image.height)
        raise
    check_size(*image.size, form.most_pixels)
    check_frames(getattr(image, "n_frames", 1))
    return image


def side_information(image):
    """Returns what `read` returns beside the pixels of a PIL image."""
    icc_profile = None if image.mode == "CMYK" else image.info.get("icc_profile")  # CMYK becomes sRGB
    return _exif_tags(image), icc_profile, image.info.get("dpi")


def _exif_tags(image):
    """Returns the EXIF tags of an image that are used here, of which a damaged file has none."""
    try:
        exif = image.getexif()
        return {tag: exif.get(tag) for tag in (ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT)}
    except Exception:  # noqa: BLE001 - Pillow lets errors of any class escape, and the pixels are sound without tags
        return {}
