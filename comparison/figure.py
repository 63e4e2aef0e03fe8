"""A figure as papers have it: the whole image with a marked region, and that region enlarged, side by side."""

import unicodedata
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from comparison.pair import PROTOCOL, REGION_SIZE

PANEL = 2 * REGION_SIZE  # pixels on a side
OVERVIEW_WIDTH = 548  # at most: a square fills the height of two panels
MARGIN, GAP = 24, 16
TITLE, NOTE, SMALL = 18, 16, 14  # font sizes
CAPTION = TITLE + NOTE + 18  # height of a title and a note below an image
LINE = SMALL + 6
INK, GREY, FRAME, PAPER, MARK = "#1a1a1a", "#5c5c5c", "#cccccc", "#ffffff", "#e01b24"
MARK_SIZE = 14  # pixels on a side of the mark, at least
BAND_PIXELS = 1 << 22  # of a large image that are reduced at once


class Panel(NamedTuple):
    """An image in the middle of a cell of `size` (width, height), and two lines below it."""

    image: Image.Image
    size: tuple
    title: str
    note: str


def comparison_figure(comparison):
    """Draws a `Comparison`.

    Returns:
        A PIL image: the super-resolved image with its most detailed region marked, and that region of the
        low-resolution image, of its bicubic enlargement, of the super-resolved image and of the original, with every
        pixel enlarged to the same whole number of pixels.
    """
    panels = _panels(comparison)
    columns = 2 if len(panels) == 4 else len(panels)
    grid_height = len(panels) // columns * (PANEL + CAPTION + GAP) - GAP
    overview = _overview(comparison, grid_height - CAPTION)
    left = MARGIN + overview.size[0] + GAP
    width = left + columns * (PANEL + GAP) - GAP + MARGIN
    lines = _wrapped(_small_print(comparison), _font(SMALL), width - 2 * MARGIN)
    bottom = MARGIN + grid_height + GAP
    figure = Image.new("RGB", (width, bottom + len(lines) * LINE + MARGIN // 2), PAPER)
    paste(figure, overview, MARGIN, MARGIN + (grid_height - CAPTION - overview.size[1]) // 2)
    for i, panel in enumerate(panels):
        paste(figure, panel, left + i % columns * (PANEL + GAP), MARGIN + i // columns * (PANEL + CAPTION + GAP))
    for i, line in enumerate(lines):
        ImageDraw.Draw(figure).text((MARGIN, bottom + i * LINE), line, GREY, _font(SMALL))
    return figure


def _panels(comparison):
    region, scale, scores = comparison.region, comparison.scale, comparison.scores
    lr, sr = region.of(comparison.lr), region.of(comparison.sr, scale)
    sizes = [f"{image.shape[1]} x {image.shape[0]} pixels" for image in (lr, sr)]
    panels = [(lr, "Low resolution", sizes[0]),
              (comparison.bicubic(region), "Bicubic", scores.get("bicubic", sizes[1])),
              (sr, f"SR: {comparison.model_name}", scores.get("sr", sizes[1]))]
    if comparison.hr is not None:
        panels.append((region.of(comparison.hr, scale), "Original", "PSNR / SSIM"))
    zoom = PANEL // max(sr.shape[:2])
    size = sr.shape[1] * zoom, sr.shape[0] * zoom
    return [Panel(Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST), (PANEL, PANEL), title, str(note))
            for pixels, title, note in panels]


def _overview(comparison, height):
    """Returns the whole image, as large as fits, with the region marked."""
    image, region = _thumbnail(comparison.sr, OVERVIEW_WIDTH, height), comparison.region
    ratio_x, ratio_y = image.width / comparison.lr.shape[1], image.height / comparison.lr.shape[0]
    if not comparison.region_is_all:
        left, right = _mark_span(region.left * ratio_x, region.width * ratio_x, image.width)
        top, bottom = _mark_span(region.top * ratio_y, region.height * ratio_y, image.height)
        draw = ImageDraw.Draw(image)
        draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=PAPER, width=4)
        draw.rectangle((left, top, right, bottom), outline=MARK, width=2)
    note = f"{comparison.size_text()}, x{comparison.scale}"
    return Panel(image, (max(image.width, PANEL), image.height), comparison.name, note)


def _thumbnail(image, width, height):
    """Returns an array (H, W, 3), uint8, as a PIL image that fits into `width` x `height`.

    Large ones are reduced band by band first, since a PIL image of the whole would be a copy.
    """
    ratio = min(width / image.shape[1], height / image.shape[0])
    size = [max(1, round(length * ratio)) for length in image.shape[1::-1]]
    factor = int(1 / ratio) // 2
    if factor > 1:
        step = max(1, BAND_PIXELS // (image.shape[1] * factor)) * factor
        image = np.concatenate([np.asarray(Image.fromarray(image[top:top + step]).reduce(factor))
                                for top in range(0, len(image), step)])
    return Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)


def _mark_span(start, length, limit):
    """Returns the first and last pixel of a mark along an axis of `limit` pixels, large enough to be seen."""
    size = min(max(round(length), MARK_SIZE), limit)
    first = min(max(round(start + length / 2 - size / 2), 0), limit - size)
    return first, first + size - 1


def _small_print(comparison):
    text = "" if comparison.region_is_all else "The details show the marked region. "
    if comparison.scores:
        protocol = PROTOCOL._replace(border=PROTOCOL.border_pixels(comparison.scale))
        text += f"PSNR / SSIM are those of the whole image: {protocol}."
    return text


def paste(figure, panel, x, y):
    """Draws a panel with its upper left corner at (x, y)."""
    (width, height), draw = panel.size, ImageDraw.Draw(figure)
    left, top = x + (width - panel.image.width) // 2, y + (height - panel.image.height) // 2
    figure.paste(panel.image, (left, top))
    draw.rectangle((left - 1, top - 1, left + panel.image.width, top + panel.image.height), outline=FRAME)
    for text, size, colour, top in ((panel.title, TITLE, INK, 8), (panel.note, NOTE, GREY, 12 + TITLE)):
        draw.text((x + width / 2, y + height + top), _fitted(text, _font(size), width), colour, _font(size), "ma")


def _font(size):
    return ImageFont.load_default(size)


def _fitted(text, font, width):
    """Returns `text` in the font's letters, its middle left out where it is wider than `width` pixels."""
    text = _printable(text, font)
    kept, fitted = len(text), text
    while font.getlength(fitted) > width:
        kept -= 1
        fitted = text[:(kept + 1) // 2] + "..." + text[len(text) - kept // 2:]
    return fitted


def _printable(text, font):
    """Replaces letters that the font lacks: by what is left without accents, else by a question mark."""
    missing = bytes(font.getmask("\uffff"))
    letters = []
    for letter in unicodedata.normalize("NFC", text):
        plain = unicodedata.normalize("NFKD", letter)[:1]
        letters.append(next((one for one in (letter, plain) if bytes(font.getmask(one)) != missing), "?"))
    return "".join(letters)


def _wrapped(text, font, width):
    """Returns the lines of `text` that are at most `width` pixels wide, a word alone excepted."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
