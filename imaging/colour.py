"""Pixels of every kind as 8- or 16-bit grey or RGB, with or without alpha, and the colour profiles that fit them."""

import io

import numpy as np
from PIL import Image, ImageChops, ImageCms

from imaging.limits import Unsupported

# EXIF orientation to what turns the stored pixels upright.
_TURNS = {2: lambda p: p[:, ::-1], 3: lambda p: p[::-1, ::-1], 4: lambda p: p[::-1], 5: lambda p: p.swapaxes(0, 1),
          6: lambda p: np.rot90(p, -1), 7: lambda p: p[::-1, ::-1].swapaxes(0, 1), 8: np.rot90}


STRIP = 128  # rows that are computed at once, so that large images take little memory


def to_8_bits(pixels, white_level=65535):
    """Returns pixels as uint8: those of 16 bits, up to `white_level`, are 255 v / `white_level`, rounded."""
    if pixels.dtype == np.uint8:
        return pixels
    return _by_strips(pixels, pixels.shape, lambda strip: (
        (strip.astype(np.uint32) * 255 + white_level // 2) // white_level))


def on_white(pixels):
    """Returns the pixels of a `Photo` as RGB (H, W, 3), uint8, as they look on white; RGB of 8 bits is not copied."""
    pixels = to_8_bits(pixels)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.shape[2] in (2, 4):
        pixels = _by_strips(pixels, (*pixels.shape[:2], pixels.shape[2] - 1), _blend)
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))


def _blend(strip):
    colours, alpha = strip[..., :-1].astype(np.float32), strip[..., -1:].astype(np.float32) / 255
    return colours * alpha + 255 * (1 - alpha) + 0.5


def _by_strips(image, shape, compute):
    """Returns an array of this shape, uint8, of what `compute` makes of strips of the array or PIL image `image`."""
    result = np.empty(shape, np.uint8)
    for top in range(0, shape[0], STRIP):
        bottom = min(top + STRIP, shape[0])
        is_array = isinstance(image, np.ndarray)
        strip = image[top:bottom] if is_array else image.crop((0, top, image.width, bottom))
        result[top:bottom] = compute(strip)
    return result


def upright(pixels, orientation):
    """Turns and mirrors the pixels of a file as its EXIF orientation says; an unknown one leaves them as they are."""
    turn = _TURNS.get(orientation)
    return np.ascontiguousarray(turn(pixels)) if turn else pixels


def swaps_axes(orientation):
    """Whether `upright` makes rows of columns."""
    return orientation in (5, 6, 7, 8)


def from_pillow(image):
    """Returns the pixels of a loaded 8-bit PIL image, uint8: grey or RGB, with alpha where it has transparency.

    CMYK becomes sRGB, by the image's own colour profile where it has a sound one.
    """
    if image.mode == "CMYK":
        if "adobe" not in image.info:  # Pillow inverts all CMYK JPEGs, but only Adobe stores them inverted
            image = ImageChops.invert(image)
        return np.asarray(to_srgb(image, image.info.get("icc_profile")))
    mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    if image.has_transparency_data:
        mode += "A"
    return _by_strips(image, (image.height, image.width, len(mode))[:2 + (len(mode) > 1)], lambda strip: (
        np.asarray(strip if strip.mode == mode else strip.convert(mode))))


def to_srgb(image, icc_profile=None):
    """Converts a CMYK or LAB image of PIL to sRGB; CMYK without a sound profile for it by the plain formula.

    It is relative colorimetric with black point compensation, as in photo editors.
    """
    try:
        source = ImageCms.createProfile("LAB") if image.mode == "LAB" else _profile(icc_profile)
        return ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), outputMode="RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC, flags=ImageCms.Flags.BLACKPOINTCOMPENSATION)
    except (OSError, ImageCms.PyCMSError):
        return image.convert("RGB")


def shown(pixels, icc_profile):
    """Returns the pixels of a `Photo` with this profile as they look on white: RGB (H, W, 3) in sRGB, uint8.

    RGB of 8 bits without a profile is not copied.
    """
    if icc_profile:
        pixels = as_srgb(to_8_bits(pixels), icc_profile)
    return on_white(pixels)


def as_srgb(pixels, icc_profile):
    """Returns 8-bit pixels of this profile as sRGB (H, W, 3), uint8, or with their alpha (H, W, 4)."""
    channels = (*pixels.shape, 1)[2]
    transform = ImageCms.buildTransform(
        _profile(icc_profile), ImageCms.createProfile("sRGB"), "L" if channels < 3 else "RGB", "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION)
    alpha = pixels[..., -1:] if channels in (2, 4) else None

    def convert(strip):
        colours = strip[..., :-1] if alpha is not None else strip
        colours = np.ascontiguousarray(colours if channels > 2 else colours.reshape(colours.shape[:2]))
        return np.asarray(ImageCms.applyTransform(Image.fromarray(colours), transform))

    colours = _by_strips(pixels, (*pixels.shape[:2], 3), convert)
    return colours if alpha is None else np.dstack([colours, alpha])


def fitting_profile(icc_profile, channels):
    """Returns `icc_profile` if it is sound and fits 1 or 2 channels (grey) or 3 or 4 (RGB), else None."""
    space = "GRAY" if channels < 3 else "RGB"
    try:
        return icc_profile if icc_profile and _profile(icc_profile).profile.xcolor_space.strip() == space else None
    except OSError:
        return None


def whole_numbers(pixels):
    """Returns signed or 32-bit pixels as uint16, where that is exact.

    Raises:
        Unsupported: a value is below 0 or above 65535.
    """
    low, high = pixels.min(), pixels.max()
    if low < 0 or high > 65535:
        raise Unsupported(f"its pixels range from {low} to {high}, and only 0 to 65535 are supported")
    return pixels.astype(np.uint16)


def _profile(icc_profile):
    return ImageCms.ImageCmsProfile(io.BytesIO(icc_profile or b""))
