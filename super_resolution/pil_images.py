"""PIL images in and out: upright, and with what they tell beside their pixels."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from imaging import colour, encodings, tiff
from imaging.formats import BY_SUFFIX, WRITTEN
from imaging.metadata import PREFIX, XMP_KEYWORD, Metadata
from imaging.tags import ORIENTATION, TOLD, sound_resolution

MAX_JPEG = 65_000  # bytes of EXIF or XMP that Pillow writes to JPEG, or a little more


class Told(NamedTuple):
    """What a PIL image tells beside its pixels: colour profile or None, dpi or None, `Metadata`, texts by keyword."""

    icc_profile: bytes | None
    dpi: tuple | None
    metadata: Metadata
    texts: dict


class EnlargedImage(Image.Image):
    """A PIL image that `save` writes with the colour profile, EXIF, XMP, PNG texts and dpi of the original.

    What is given to `save` goes before. Pixels are saved as sRGB where the format holds no such profile: BMP, grey in
    WebP and AVIF, and other formats than those of the command line, which get no metadata either. BMP holds no
    metadata but dpi, and only PNG holds texts. A lossless WebP is saved lossless only where that is asked for. An image
    made of this one (`resize`, `crop`, ...) is a plain PIL image.
    """

    _told = Told(None, None, Metadata(), {})  # of a copy

    @classmethod
    def new(cls, mode, size, told):
        """Returns a black image that tells what `told` tells."""
        image = Image.new(mode, size)
        image.__class__ = cls
        image._told = told._replace(metadata=told.metadata.fitted(*size, told.icc_profile is not None))
        metadata = image._told.metadata
        about = {"icc_profile": told.icc_profile, "exif": metadata.exif and PREFIX + metadata.exif,
                 "xmp": metadata.xmp, "comment": metadata.comment, "dpi": told.dpi}
        image.info = {key: value for key, value in about.items() if value}
        return image

    def save(self, fp, format=None, **params):
        """Saves the image as `PIL.Image.Image.save` does; `params` left out are those of the original."""
        icc_profile = params.get("icc_profile", self.info.get("icc_profile"))
        form = _format(fp, format)
        if not (icc_profile and _is_lost(form, self.mode, icc_profile)):
            super().save(fp, format, **(self._defaults(form) | params))
            return
        told = self._told._replace(icc_profile=None)
        image = Image.fromarray(colour.as_srgb(colour.to_8_bits(np.asarray(self)), icc_profile))
        plain = EnlargedImage.new(image.mode, image.size, told)
        plain.im = image.im
        plain.save(fp, format, **(params | {"icc_profile": None}))

    def _defaults(self, form):
        """Returns what `save` is to be given for a format."""
        if form is None:
            return {}
        info, limit = self.info, MAX_JPEG if form.name == "JPEG" else np.inf
        names = {"BMP": ("dpi",), "PNG": ("icc_profile", "exif", "dpi")}.get(
            form.name, ("icc_profile", "exif", "xmp", "dpi"))
        params = {name: info[name] for name in names if name in info
                  and (name not in ("exif", "xmp") or len(info[name]) <= limit)}
        if form.name == "TIFF" and {"exif", "xmp"} & set(info):
            params["exif"] = PREFIX + tiff.block_of(info.get("exif", b"").removeprefix(PREFIX), info.get("xmp"))
            params.pop("xmp", None)
        if form.name == "PNG" and (self._told.texts or "xmp" in info):
            params["pnginfo"] = _png_texts(self._told.texts, info.get("xmp"))
        return params


def read_pil(image, mode):
    """Returns the pixels of a PIL image in the mode `mode`, an upright array, and what it `Told`.

    Colours that a PNG or a camera tells otherwise than by a profile are read as `imaging.photos.read_photo` reads
    them, but for PNG's cICP, which Pillow passes over.
    """
    depth = _depth_of_grey(image)
    pixels = np.asarray(image if image.mode == mode else _converted(image, mode, depth))
    exif = _exif(image)  # after the pixels: in PNG it may stand behind them
    orientation = exif.get(ORIENTATION) if exif else None
    swaps_axes = colour.swaps_axes(orientation)
    info = image.info
    metadata = Metadata(info.get("exif") or _told_by_tags(exif), info.get("xmp"), comment=info.get("comment")).bounded()
    icc_profile, to_light = info.get("icc_profile"), None
    if not icc_profile and mode.startswith("RGB") and image.format in ("JPEG", "MPO") and metadata.is_adobe_rgb():
        icc_profile = encodings.adobe_rgb().icc_profile
    elif not icc_profile and image.format == "PNG" and "srgb" not in info:
        encoding = encodings.by_gamma(info.get("gamma"), info.get("chromaticity"))
        icc_profile, to_light = encoding.icc_profile if mode.startswith("RGB") else None, encoding.to_light
    if to_light:
        pixels = encodings.with_srgb_curve(np.array(pixels), to_light)
    dpi = sound_resolution(info.get("dpi"))
    metadata = metadata.fitted(*image.size, icc_profile is not None, swaps_axes)
    texts = {key: text for key, text in getattr(image, "text", {}).items() if key != XMP_KEYWORD.decode()}
    return colour.upright(pixels, orientation), Told(icc_profile, dpi and dpi[::-1] if swaps_axes else dpi, metadata,
                                                     texts)


def _depth_of_grey(image):
    """Returns the bits of grey pixels of a PNG that is not decoded yet, else 8."""
    arguments = image.tile[0][3] if image.format == "PNG" and getattr(image, "tile", None) else None
    return {"L;2": 2, "L;4": 4}.get(arguments, 8)


def _converted(image, mode, depth):
    key = image.info.get("transparency")
    if image.mode != "L" or mode != "LA" or not isinstance(key, int):
        return image.convert(mode)
    grey, highest = np.asarray(image), (1 << depth) - 1
    return np.dstack([grey, np.where(grey == (key & highest) * 255 // highest, 0, 255).astype(np.uint8)])


def _exif(image):
    try:
        return image.getexif()
    except Exception:  # noqa: BLE001 - Pillow lets errors of any class escape, and the pixels are sound without EXIF
        return None


def _told_by_tags(exif):
    """Returns a block of EXIF of the tags of a TIFF image that tell of the photo, or None."""
    told = Image.Exif()
    try:
        for tag in TOLD:
            value = exif.get_ifd(tag) if tag in exif and isinstance(exif[tag], int) else exif.get(tag)
            if value:
                told[tag] = value
        return told.tobytes() if len(told) else None
    except Exception:  # noqa: BLE001 - as above
        return None


def _format(fp, format):
    """Returns the `Format` that PIL's `save` is asked for, or None for another."""
    if format:
        return next((form for form in WRITTEN if form.name.upper() == format.upper()), None)
    path = fp if isinstance(fp, os.PathLike) else getattr(fp, "name", fp)
    is_path = isinstance(path, (str, bytes, os.PathLike))
    return BY_SUFFIX.get(Path(os.fsdecode(path)).suffix.lower()) if is_path else None


def _is_lost(form, mode, icc_profile):
    """Whether a format cannot hold a colour profile with pixels of a mode."""
    return form is None or len(icc_profile) > form.profile or (not form.has_grey and mode in ("L", "LA", "I;16"))


def _png_texts(texts, xmp):
    chunks = PngInfo()
    for key, text in texts.items():
        chunks.add_text(key, text)
    if xmp:
        chunks.add_itxt(XMP_KEYWORD.decode(), xmp.decode("utf-8", "replace"))
    return chunks
