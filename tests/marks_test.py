import io

import numpy as np
import pytest
import pyvips
from PIL import Image

from imaging.formats import BY_SUFFIX
from imaging.marks import add_mark, is_foreign, read_mark
from imaging.photos import Photo, read_photo, write_photo
from tests.conftest import make_photo, save_photo

FACTS = {"photo": {"name": "caf\udce9 <!-- -->", "bytes": 3}}


@pytest.mark.parametrize("suffix", BY_SUFFIX)
def test_a_mark_is_read_back_and_disturbs_no_reader(tmp_path, suffix):
    plain, marked = tmp_path / f"plain{suffix}", tmp_path / f"marked{suffix}"
    write_photo(plain, Photo(make_photo(9, 7)))
    write_photo(marked, Photo(make_photo(9, 7)), FACTS)
    assert read_mark(marked) == FACTS
    assert read_mark(plain) is None
    assert np.array_equal(read_photo(plain).pixels, read_photo(marked).pixels)
    assert np.array_equal(np.asarray(Image.open(plain)), np.asarray(Image.open(marked)))
    if suffix != ".bmp":
        strict = [pyvips.Image.new_from_file(str(path), fail_on="warning").numpy() for path in (plain, marked)]
        assert np.array_equal(*strict)


def test_a_mark_does_not_outlive_a_change(tmp_path):
    for suffix in BY_SUFFIX:
        path = tmp_path / f"a{suffix}"
        write_photo(path, Photo(make_photo(9, 7)), FACTS)
        content = path.read_bytes()
        assert not is_foreign(path)
        for changed in (content + b"\n", content[:-1], content[:40] + content[41:]):
            path.write_bytes(changed)
            assert is_foreign(path)
        file = io.BytesIO(content)
        Image.open(file).save(path)
        assert is_foreign(path)


def test_what_is_no_file_or_has_no_mark_is_told_apart(tmp_path):
    assert not is_foreign(tmp_path / "nothing.png")
    assert not is_foreign(tmp_path)
    assert is_foreign(save_photo(tmp_path / "a.png", make_photo(4, 4)))
    (tmp_path / "empty.png").write_bytes(b"")
    assert is_foreign(tmp_path / "empty.png")
    page = tmp_path / "index.html"
    page.write_text("<!doctype html>")
    assert is_foreign(page)
    add_mark(page, {"kind": "page"})
    assert read_mark(page) == {"kind": "page"}
    assert page.read_text().startswith("<!doctype html><!-- ")
