import base64
import io
import re
from html import escape
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from comparison import Comparison, ComparisonPage
from comparison.regions import Region
from files import WriteError
from imaging.resize import imresize
from tests.comparison_pages import MODEL, NAME, assert_close, make_comparison, write_page
from tests.conftest import make_photo


def previews(html):
    """Returns the images in a page."""
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
            for data in re.findall(r'src="data:image/jpeg;base64,([^"]+)"', html)]


def test_entries_stand_in_the_order_of_adding_and_nothing_else_is_left(tmp_path):
    path = write_page(tmp_path, *(make_comparison(9, 8, f"{name}.png") for name in "cab"))
    html = path.read_text()
    assert re.findall(r'<h2 dir="auto">(.*)</h2>', html) == ["c.png", "a.png", "b.png"]
    assert "3 images." in html
    assert [file.name for file in tmp_path.iterdir()] == ["index.html"]


def test_a_page_can_be_written_more_than_once_or_not_at_all(tmp_path):
    with ComparisonPage(tmp_path / "new", "net") as page:
        assert "0 images." in page.write().read_text()
        for count in (1, 2):
            page.add(make_comparison(9, 8), tmp_path / "sr.png")
            assert page.write().read_text().count("<article") == count
    with ComparisonPage(tmp_path / "none", "net") as page:
        page.add(make_comparison(9, 8), tmp_path / "sr.png")
    assert list((tmp_path / "none").iterdir()) == []


def test_a_page_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "index.html").mkdir()
    with pytest.raises(WriteError, match=r"index\.html: cannot be written"):
        write_page(tmp_path, make_comparison(9, 8))


def test_an_image_that_could_not_be_added_leaves_no_trace(tmp_path):
    class FullDisk:
        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, data):
            self.file.write(data[:len(data) // 2])
            raise OSError(28, "No space left on device")

    with ComparisonPage(tmp_path, "net") as page:
        page.add(make_comparison(9, 8, "a.png"), tmp_path / "sr.png")
        spool, page._spool = page._spool, FullDisk(page._spool)
        with pytest.raises(WriteError, match="No space left on device"):
            page.add(make_comparison(9, 8, "bad.png"), tmp_path / "sr.png")
        page._spool = spool
        assert "bad.png" not in page.write().read_text()
        page.add(make_comparison(9, 8, "b.png"), tmp_path / "sr.png")
        html = page.write().read_text()
    assert "2 images." in html
    assert "bad.png" not in html
    assert html.count("<article") == html.count("</article>") == 2


def test_a_page_refers_to_nothing_outside_but_the_files_it_links(tmp_path):
    html = write_page(tmp_path, make_comparison(9, 8, NAME), figure=tmp_path / "figure.png").read_text()
    hrefs = re.findall(r'href="([^"]*)"', html)
    assert [unquote(href) for href in hrefs if href != "data:,"] == [f"below/sr {NAME}", "figure.png"]
    assert not re.search(r"https?:|//|@import|url\(", re.sub(r'="data:[^"]*"|  // .*|;  // .*', "", html))
    assert NAME not in html


def test_names_that_are_not_utf8_are_linked_byte_by_byte(tmp_path):
    html = write_page(tmp_path, make_comparison(9, 8, "caf\udce9.png")).read_text()
    assert "caf?.png" in html
    assert 'href="below/sr%20caf%E9.png"' in html


def test_scores_are_named_with_their_protocol_and_mean(tmp_path):
    html = write_page(tmp_path, make_comparison(20, 20, hr=True), make_comparison(20, 20)).read_text()
    bicubic = make_comparison(20, 20, hr=True).scores["bicubic"]
    assert html.count(f"<b>Bicubic</b>{bicubic}<") == 1
    model = escape(MODEL)
    assert html.count(f"<b>{model}</b>inf dB / 1.0000<") == 1
    assert ("2 images. Mean PSNR / SSIM of the 1 with an original (Y channel, border of scale pixels removed, rounded):"
            f" bicubic {bicubic}, {model} inf dB / 1.0000.") in html


def test_a_large_image_is_shown_in_part_and_a_small_one_whole(tmp_path):
    lr = np.full((410, 300, 3), 120, np.uint8)
    lr[380:400, 20:40] = make_photo(20, 20)
    sr = 255 - imresize(lr, 4, "replicate")
    html = write_page(tmp_path, Comparison(lr, sr, 4, "a", "net")).read_text()
    after, before = previews(html)
    window = Region(10, 0, 400, 300)
    assert_close(after, window.of(sr, 4))
    assert_close(before, 255 - window.of(sr, 4))
    assert "Shown: 1200 x 1600 pixels in full resolution around the most detailed region, upper left at (0, 40)" in html
    small = make_comparison(30, 20)
    html = write_page(tmp_path, small).read_text()
    assert_close(previews(html)[0], small.sr)
    assert "Shown" not in html
