"""A self-contained HTML page with a slider between before and after for each image."""

import base64
import html
import io
import os
import shutil
import tempfile
from pathlib import Path
from string import Template
from urllib.parse import quote

import numpy as np
from PIL import Image

from comparison.pair import PROTOCOL
from evaluation import PSNRAndSSIM
from files import atomic_path, make_folder, write_errors
from imaging.marks import add_mark

PAGE_NAME = "index.html"
PREVIEW_SIZE = 1600  # SR pixels on a side, at most
PREVIEW_QUALITY = 90  # of JPEG without chroma subsampling, which would hide differences of colour
SMALL_SIZE = 480  # SR pixels: smaller images are shown enlarged


class ComparisonPage:
    """Collects images, before and after, for a page in `folder`.

    Each image's part of the page waits in an unnamed temporary file in `folder`, so that hundreds of images take no
    more memory than one. The `with` block frees it.

    Args:
        folder: of the page; links to other files are relative to it.
        model_name: the network's, for the title.

    Raises:
        UserError: the folder cannot be written to.
    """

    def __init__(self, folder, model_name):
        self.path, self.model_name = Path(folder) / PAGE_NAME, model_name
        self.num_images, self._scores, self._end = 0, [], 0
        make_folder(self.path.parent)
        with write_errors(self.path):  # closed by __exit__
            self._spool = tempfile.TemporaryFile(dir=self.path.parent)  # noqa: SIM115

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._spool.close()

    def add(self, comparison, sr_path, figure_path=None):
        """Adds a `Comparison`, with links to the files of the super-resolved image and of the figure, if there is one.

        Raises:
            WriteError: the system refuses to write.
        """
        links = [self._link(sr_path, "Super-resolved image")]
        if figure_path is not None:
            links.append(self._link(figure_path, "Figure"))
        entry = template("entry.html").substitute(_fields(comparison), links="\n".join(links))
        with write_errors(self.path):
            self._spool.seek(self._end)  # over what a full disk may have left half written
            self._spool.write(entry.encode("utf-8"))
            self._spool.flush()
            self._end = self._spool.tell()
        self.num_images += 1
        if comparison.scores:
            self._scores.append(comparison.scores)

    def write(self):
        """Writes the page, `index.html`, atomically; returns its path."""
        page = template("page.html").substitute(model=as_html(self.model_name), summary=as_html(self._summary()))
        head, tail = page.split("<!-- images -->\n")
        with atomic_path(self.path) as temporary:
            with open(temporary, "wb") as file:
                file.write(head.encode("utf-8"))
                self._spool.truncate(self._end)
                self._spool.seek(0)
                shutil.copyfileobj(self._spool, file)
                file.write(tail.encode("utf-8"))
            add_mark(temporary, {"kind": "page"})
        return self.path

    def _summary(self):
        text = "1 image." if self.num_images == 1 else f"{self.num_images} images."
        if self._scores:
            bicubic, sr = (PSNRAndSSIM(*np.mean([scores[name] for scores in self._scores], axis=0).tolist())
                           for name in ("bicubic", "sr"))
            text += (f" Mean PSNR / SSIM of the {len(self._scores)} with an original ({PROTOCOL}): "
                     f"bicubic {bicubic}, {self.model_name} {sr}.")
        return text

    def _link(self, path, text):
        """Returns a link; names that are not UTF-8 are kept byte by byte."""
        relative = Path(os.path.relpath(path, self.path.parent)).as_posix()
        return f'<a href="{quote(os.fsencode(relative))}">{text}</a>'


def _fields(comparison):
    """Returns what the template of an image says, for HTML, links excepted."""
    scale, side = comparison.scale, PREVIEW_SIZE // comparison.scale
    region = comparison.region.grown(side, side, comparison.lr.shape)
    before, after = comparison.bicubic(region), region.of(comparison.sr, scale)
    height, width = after.shape[:2]
    zoom = max(1, SMALL_SIZE // max(height, width))
    facts = f"{comparison.size_text()} (x{scale})"
    if after.shape != comparison.sr.shape:
        facts += (f". Shown: {width} x {height} pixels in full resolution around the most detailed region, "
                  f"upper left at ({region.left * scale}, {region.top * scale})")
    texts = {"name": comparison.name, "model": comparison.model_name, "facts": facts,
             **{name: str(comparison.scores.get(name, "")) for name in ("bicubic", "sr")}}
    return {"width": width, "height": height, "shown_width": width * zoom, "shown_height": height * zoom,
            "rendering": "pixelated" if zoom > 1 else "auto", "before": _data_uri(before), "after": _data_uri(after),
            **{name: as_html(text) for name, text in texts.items()}}


def template(name):
    """Returns a `string.Template` of HTML that stands beside this file."""
    return Template((Path(__file__).parent / name).read_text(encoding="utf-8"))


def as_html(text):
    """Returns text for HTML; bytes of a file name that are no UTF-8 become question marks."""
    return html.escape(text.encode("utf-8", "replace").decode("utf-8"))


def _data_uri(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=PREVIEW_QUALITY, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
