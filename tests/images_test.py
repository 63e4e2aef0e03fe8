import os

import numpy as np
import pytest
from PIL import Image

from errors import UserError
from imaging.image_files import find_images, look_through, range_warnings, read_image, to_uint8
from imaging.photos import Photo, write_photo
from tests.conftest import make_photo, save_photo


def test_find_images_takes_every_case_and_no_other_files(tmp_path):
    for name in ("b.PNG", "a.jpg", "c.Tiff", "below/d.webp"):
        save_photo(tmp_path / name, make_photo(4, 4))
    (tmp_path / "notes.txt").write_text("")
    assert [path.name for path in find_images(tmp_path)] == ["a.jpg", "b.PNG", "c.Tiff"]
    assert [path.name for path in find_images(tmp_path, recursive=True)] == ["a.jpg", "b.PNG", "d.webp", "c.Tiff"]


def test_a_missing_and_an_empty_folder_are_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere: there is no such folder"):
        find_images(tmp_path / "nowhere")
    with pytest.raises(UserError, match=f"{tmp_path}: there are no images in it"):
        find_images(tmp_path)


def test_what_other_programs_and_systems_leave_is_no_image(tmp_path):
    for name in ("a.png", "below/b.jpe", ".thumbnails/normal/c.png", "@eaDir/a.png/THUMB.jpg", "__MACOSX/a.png",
                 "#recycle/d.png", "._a.png", ".hidden.png", "below/.e.png"):
        save_photo(tmp_path / name, make_photo(4, 4))
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "notes.txt", "IMG_1.HEIC"):
        (tmp_path / name).write_text("")
    assert [path.name for path in find_images(tmp_path, recursive=True)] == ["a.png", "b.jpe"]
    found = look_through(tmp_path, recursive=True)
    assert [path.name for path in found.hidden] == [".hidden.png", ".e.png"]
    assert [path.name for path in found.others] == ["IMG_1.HEIC", "notes.txt"]
    assert [path.name for path in find_images(tmp_path / ".thumbnails", recursive=True)] == ["c.png"]  # asked for


def test_links_are_images_where_they_lead_to_files_and_told_where_not(tmp_path):
    save_photo(tmp_path / "real" / "a.png", make_photo(4, 4))
    (tmp_path / "in").mkdir()
    for name, target in (("a.png", "../real/a.png"), ("gone.png", "nowhere.png"), ("loop.png", "loop.png"),
                         ("folder", "../real"), ("gone.txt", "nowhere.txt"), ("zero.png", "/dev/zero")):
        os.symlink(target, tmp_path / "in" / name)
    found = look_through(tmp_path / "in", recursive=True)
    assert found.images == [tmp_path / "in" / "a.png"]
    assert found.links == [tmp_path / "in" / "folder"]
    assert len(found.failures) == 3
    assert found.failures[0].startswith(f"{tmp_path / 'in' / 'gone.png'}: is a link to nothing: No such file")
    assert found.failures[1].startswith(f"{tmp_path / 'in' / 'loop.png'}: is a link to nothing: Too many levels")
    assert found.failures[2] == f"{tmp_path / 'in' / 'zero.png'}: is a link to what is no regular file"


def test_exif_orientation_is_applied(tmp_path):
    photo = make_photo(4, 6)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise
    Image.fromarray(photo).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "turned.png"), np.rot90(photo, -1))


@pytest.mark.parametrize(("mode", "suffix"), [("L", "png"), ("P", "png"), ("1", "png"), ("LA", "png"), ("CMYK", "jpg")])
def test_every_mode_is_read_as_rgb(tmp_path, mode, suffix):
    image = Image.fromarray(make_photo(5, 7)).convert(mode)
    image.save(tmp_path / f"photo.{suffix}")
    rgb = read_image(tmp_path / f"photo.{suffix}")
    assert rgb.shape == (5, 7, 3)
    assert rgb.dtype == np.uint8
    if mode == "L":
        assert np.array_equal(rgb[..., 0], np.asarray(image))


def test_16_bit_grey_is_reduced_not_clipped(tmp_path):
    Image.fromarray(np.array([[0, 257 * 100, 65535]], np.uint16)).save(tmp_path / "grey.png")
    assert read_image(tmp_path / "grey.png")[0, :, 1].tolist() == [0, 100, 255]


def test_16_bit_rgb_is_rounded_not_truncated(tmp_path):
    values = np.array([[[128, 129, 257 * 100], [257 * 100 + 128, 257 * 100 + 129, 65535]]], np.uint16)
    for suffix in ("png", "tif"):
        write_photo(tmp_path / f"rgb.{suffix}", Photo(values))
        assert read_image(tmp_path / f"rgb.{suffix}").tolist() == [[[0, 1, 100], [100, 101, 255]]]


def test_the_white_level_is_white_and_the_rest_is_in_proportion(tmp_path):
    values = np.array([[0, 8, 9, 2047, 2048, 4095]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", 4095)[0, :, 0].tolist() == [0, 0, 1, 127, 128, 255]
    with pytest.raises(UserError, match=r"a\.png: holds the value 4095, above the white level 1023"):
        read_image(tmp_path / "a.png", 1023)
    save_photo(tmp_path / "8-bits.png", make_photo(5, 6))
    assert np.array_equal(read_image(tmp_path / "8-bits.png", 4095), make_photo(5, 6))


def test_ranges_of_fewer_bits_are_noted_and_named_by_their_white_level(tmp_path):
    narrow = {}
    for largest in (0, 255, 256, 4000, 4095, 16383, 16384, 65535):
        Image.fromarray(np.array([[0, largest]], np.uint16)).save(tmp_path / f"{largest}.png")
        read_image(tmp_path / f"{largest}.png", narrow=narrow)
    lines = range_warnings(narrow)
    assert [line.rpartition("--white-level ")[2] for line in lines] == ["255", "1023", "4095", "16383"]
    assert f"at 4095 or below: 2, such as {tmp_path / '4000.png'} (0 to 4000)" in lines[2]


def test_an_image_is_read_without_its_alpha(tmp_path):
    rgba = np.dstack([make_photo(3, 4), np.arange(12, dtype=np.uint8).reshape(3, 4)])
    write_photo(tmp_path / "a.png", Photo(rgba))
    assert np.array_equal(read_image(tmp_path / "a.png"), rgba[..., :3])


def test_an_unreadable_image_is_named_with_its_cause(tmp_path):
    whole = save_photo(tmp_path / "whole.png", make_photo(50, 50)).read_bytes()
    for name, content, cause in (("text.png", b"no image", "not an image"), ("empty.jpg", b"", "not an image"),
                                 ("cut.png", whole[:len(whole) // 2], "truncated")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=f"{tmp_path / name}: cannot be read as an image: .*{cause}"):
            read_image(tmp_path / name)
    with pytest.raises(UserError, match=r"gone\.png: No such file"):
        read_image(tmp_path / "gone.png")


def test_values_are_rounded_and_clipped_never_truncated():
    assert to_uint8(np.array([-3.0, 0.4999, 0.5, 254.5, 254.4, 300.0])).tolist() == [0, 0, 1, 255, 254, 255]


def test_jpeg_keeps_the_colour_resolution(tmp_path):
    write_photo(tmp_path / "photo.jpg", Photo(make_photo(16, 16)))
    with Image.open(tmp_path / "photo.jpg") as image:
        assert {component[1:3] for component in image.layer} == {(1, 1)}  # sampling factors of Y, Cb, Cr
