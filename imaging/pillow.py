"""Reading by Pillow, which knows most of the formats and their side information."""

from importlib import import_module

from imaging import colour
from imaging.content import Content
from imaging.limits import check_frames, check_size
from imaging.metadata import Metadata


def read(file, start, form, check=None):
    """Reads an image file.

    Args:
        file: binary file.
        start: its first bytes.
        form: its `Format`.
        check: called with the PIL image before its pixels are decoded, to raise an error.

    Returns:
        `Content`.

    Raises:
        Unsupported; OSError and what else a damaged file leads Pillow to raise.
    """
    with open_file(file, form) as image:
        if check:
            check(image)
        image.load()
        return content(image, colour.from_pillow(image))


def open_file(file, form):
    """Opens a file by Pillow's class for its format, and checks its size and that it has one frame.

    `Image.open` would not tell the size of too large an image.
    """
    plugin = getattr(import_module(f"PIL.{form.pillow}ImagePlugin"), f"{form.pillow}ImageFile")
    image = plugin(file)
    check_size(*image.size, form.most_pixels)
    check_frames(getattr(image, "n_frames", 1))
    return image


def content(image, pixels):
    """Returns the `Content` of an opened PIL image with these pixels."""
    icc_profile = None if image.mode == "CMYK" else image.info.get("icc_profile")  # CMYK becomes sRGB
    info = image.info
    metadata = Metadata(info.get("exif"), info.get("xmp"), comment=info.get("comment")).bounded()
    return Content(pixels, icc_profile, info.get("dpi"), metadata)
