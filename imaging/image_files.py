"""Image files in and out."""

import numpy as np
from PIL import Image, ImageOps

from files import atomic_path, is_temporary
from options import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
JPEG_QUALITY = 95


def find_images(folder, recursive=False):
    """Returns the sorted paths of the images in `folder`, by suffix in upper or lower case.

    Raises:
        UserError: there is no such folder, or it holds no image.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder")
    found = folder.rglob("*") if recursive else folder.iterdir()
    paths = sorted(path for path in found
                   if path.suffix.lower() in SUFFIXES and not is_temporary(path) and path.is_file())
    if not paths:
        raise UserError(f"{folder}: there are no images in it ({', '.join(SUFFIXES)})")
    return paths


def read_image(path):
    """Reads an image file as RGB, (H, W, 3) uint8, upright (EXIF orientation applied), without alpha.

    Raises:
        UserError: names the file and why it cannot be read.
    """
    return np.asarray(_to_rgb(open_image(path)))


def read_image_with_alpha(path):
    """Reads an image file as `read_image` does.

    Returns:
        RGB (H, W, 3) uint8, and alpha (H, W) uint8 or None where the file has no transparency.
    """
    image = open_image(path)
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    return np.asarray(_to_rgb(image)), None if alpha is None else np.asarray(alpha)


def open_image(path):
    """Reads an image file completely, as an upright PIL image in the file's own mode.

    Raises:
        UserError: names the file and why it cannot be read.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        if isinstance(error, OSError) and error.strerror:  # the system's own cause, such as 'Permission denied'
            raise UserError(f"{path}: {error.strerror}") from error
        cause = "not an image, or of an unknown format" if "cannot identify" in str(error) else error
        raise UserError(f"{path}: cannot be read as an image: {cause}") from error


def write_image(path, image, quality=JPEG_QUALITY):
    """Writes an array (H, W), (H, W, 3) or (H, W, 4), uint8, atomically; the suffix chooses the format.

    `quality` is that of the lossy formats; JPEG is written without chroma subsampling and without alpha.
    """
    image = Image.fromarray(image)
    jpeg = path.suffix.lower() in (".jpg", ".jpeg")
    if path.suffix.lower() in (".jpg", ".jpeg", ".bmp") and image.mode == "RGBA":
        image = image.convert("RGB")
    options = {"quality": quality, "subsampling": 0} if jpeg else {"quality": quality}
    with atomic_path(path) as temporary:
        image.save(temporary, **options)


def to_uint8(image):
    """Rounds an image in [0, 255] half up to uint8; values beyond the range are clipped."""
    return np.clip(np.floor(np.asarray(image) + 0.5), 0, 255).astype(np.uint8)


def _to_rgb(image):
    if image.mode.startswith("I;16") or image.mode == "I":  # 16-bit grey, which PIL would clip to 8 bits
        return Image.fromarray(to_uint8(np.asarray(image, np.float64) / 257)).convert("RGB")
    return image.convert("RGB")
