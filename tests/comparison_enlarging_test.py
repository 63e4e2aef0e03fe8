"""The page of demo.py --page; comparison_browser_test.py opens it."""

import base64
import gzip
import io
import re
import tarfile

import pytest

import demo
from comparison import enlarging
from comparison.enlarging import LIBRARY, WASM, write_enlarging_page
from errors import UserError
from imaging.marks import is_foreign
from tests.conftest import assert_one_line_error

FACTS = {"name": "<b>small</b>", "scale": "3", "halo": "9", "grid": "1", "licence": "CC0 & more"}


@pytest.fixture
def page(tmp_path):
    """The text of a page with a runtime that is none."""
    with tarfile.open(tmp_path / "package.tgz", "w:gz") as archive:
        for name in (LIBRARY, WASM):
            info = tarfile.TarInfo(name)
            info.size = len(name)
            archive.addfile(info, io.BytesIO(name.encode("ascii")))
    write_enlarging_page(tmp_path / "index.html", tmp_path / "package.tgz", b"onnx", FACTS)
    return (tmp_path / "index.html").read_text(encoding="utf-8")


def held(page, name):
    return base64.b64decode(re.search(rf'id="{name}">([^<]*)</script>', page)[1])


def test_the_page_holds_the_runtime_and_the_model(page, tmp_path):
    assert held(page, "model") == b"onnx"
    assert gzip.decompress(held(page, "library")).decode() == LIBRARY
    assert gzip.decompress(held(page, "wasm")).decode() == WASM
    assert "SCALE = 3" in page
    assert "HALO = 9" in page
    assert not is_foreign(tmp_path / "index.html")


def test_facts_are_text_on_the_page(page):
    assert "&lt;b&gt;small&lt;/b&gt;, licence: CC0 &amp; more" in page
    assert "<b>small" not in page


def test_the_rules_of_the_page_allow_no_address(page):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'")
    assert not re.search(r"https?:|connect-src|\*", policy)
    assert not re.search(r'(src|href)="(?!data:)', page)


@pytest.mark.parametrize(("words", "option"), [(["-i", "a.png"], "--indir"), (["--compare"], "--compare"),
                                               (["--outscale", "2"], "--outscale")])
def test_the_page_takes_no_images(capsys, words, option):
    with pytest.raises(SystemExit):
        demo.parse_args(["--page", *words])
    assert f"{option} cannot be combined with --page" in capsys.readouterr().err
    assert demo.parse_args(["--page", "-o", "a", "-m", "wdsr-b-8-x2", "-s", "2"]).page


def test_a_page_of_ones_own_stays(tmp_path, run_main):
    (tmp_path / "index.html").write_text("my own", encoding="utf-8")
    assert_one_line_error(run_main(demo, "--page", "-o", tmp_path), "index.html", "--overwrite")


def test_a_runtime_that_cannot_be_fetched_is_named(monkeypatch):
    monkeypatch.setattr(enlarging, "PACKAGE", "http://127.0.0.1:9/none.tgz")
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9/none\.tgz: cannot be downloaded"):
        enlarging.fetch_runtime()
