"""Photos of every kind are read as what they show, and written as what they are."""

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from files import WriteError
from imaging import photos
from imaging.limits import check_output
from imaging.photos import Photo, read_photo, write_photo
from options import UserError
from tests.conftest import ROOT, make_photo
from tests.odd_file_makers import by_pillow, exif, pixels, profile
from tests.odd_files import Refused, odd_files

ODD_FILES = odd_files()


@pytest.fixture
def silent(capfd):
    """Asserts that nothing is printed and no warning is raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", [name for name, (_, expected) in ODD_FILES.items() if expected is not Refused
                                  and not isinstance(expected, Refused)])
def test_an_odd_file_is_read_as_what_it_shows_and_written_twice_as_large(tmp_path, silent, name):
    make, expected = ODD_FILES[name]
    make(tmp_path / name)
    photo = read_photo(tmp_path / name)
    assert photo.pixels.shape == expected.shape
    assert photo.pixels.dtype == expected.dtype
    if expected.error is not None:
        shown = pixels((*expected.shape, 1)[2], expected.dtype).astype(float)
        levels = 1 if expected.dtype == np.uint8 else 257
        assert np.abs(photo.pixels - shown).mean() / levels <= expected.error
    write_photo(tmp_path / "out" / name, photo._replace(pixels=photo.pixels.repeat(2, axis=0).repeat(2, axis=1)))
    assert os.listdir(tmp_path / "out") == [name]
    again = read_photo(tmp_path / "out" / name)
    assert again.pixels.shape[:2] == (2 * expected.shape[0], 2 * expected.shape[1])
    if expected.mode:
        with Image.open(tmp_path / "out" / name) as image:
            assert image.mode == expected.mode


@pytest.mark.parametrize("name", [name for name, (_, expected) in ODD_FILES.items() if isinstance(expected, Refused)])
def test_an_odd_file_is_refused_with_its_name_and_cause(tmp_path, silent, name):
    make, expected = ODD_FILES[name]
    make(tmp_path / name)
    with pytest.raises(UserError) as caught:
        read_photo(tmp_path / name)
    text = str(caught.value)
    assert text.startswith(f"{tmp_path / name}: ")
    assert expected.words in text
    assert len(text.splitlines()) == 1
