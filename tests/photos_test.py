"""Photos of every kind are read as what they show, and written as what they are."""

import os
import re
import subprocess
import sys
import threading
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from errors import UserError
from files import WriteError
from imaging import tiff, vips
from imaging.formats import CHOICES, FORMATS, NAMES, WRITTEN
from imaging.image_files import find_images
from imaging.limits import check_memory, check_output
from imaging.photos import Photo, image_size, read_photo, write_photo
from tests.conftest import ROOT, make_photo
from tests.odd_file_makers import HEIGHT, WIDTH, content, exif, photo, pixels, png, png16, profile
from tests.odd_files import Read, Refused, odd_files

ODD_FILES = odd_files()
LOSSLESS = ("png", "tif")


@pytest.fixture
def silent(capfd):
    """Asserts that nothing is printed and no warning is raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    assert capfd.readouterr() == ("", "")


def of_kind(kind):
    return [name for name, (_, expected) in ODD_FILES.items() if isinstance(expected, kind)]


def test_the_corpus_is_large():
    assert len(of_kind(Read)) >= 50
    assert len(of_kind(Refused)) >= 30


@pytest.mark.parametrize("name", of_kind(Read))
def test_an_odd_file_is_read_as_what_it_shows_and_written_twice_as_large(tmp_path, silent, name):
    make, expected = ODD_FILES[name]
    make(tmp_path / name)
    image = read_photo(tmp_path / name)
    assert image.pixels.shape == expected.shape
    assert image.pixels.dtype == expected.dtype
    if expected.error is not None:
        shown = pixels((*expected.shape, 1)[2], expected.dtype).astype(float)
        level = 1 if expected.dtype == np.uint8 else 257
        assert np.abs(image.pixels - shown).mean() / level <= expected.error
    write_photo(tmp_path / "out" / name, image._replace(pixels=image.pixels.repeat(2, axis=0).repeat(2, axis=1)))
    assert os.listdir(tmp_path / "out") == [name]
    height, width = 2 * expected.shape[0], 2 * expected.shape[1]
    assert read_photo(tmp_path / "out" / name).pixels.shape[:2] == (height, width)
    if expected.mode:
        with Image.open(tmp_path / "out" / name) as written:
            assert (written.mode, written.size) == (expected.mode, (width, height))


@pytest.mark.parametrize("name", of_kind(Refused))
def test_an_odd_file_is_refused_with_its_name_and_cause(tmp_path, silent, name):
    make, expected = ODD_FILES[name]
    make(tmp_path / name)
    with pytest.raises(UserError) as caught:
        read_photo(tmp_path / name)
    text = str(caught.value)
    assert text.startswith(f"{tmp_path / name}: ")
    assert text.count(str(tmp_path)) == 1
    assert expected.words in text
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize("error", [AssertionError(), AttributeError("a"), KeyError("a"), UnicodeError("a"),
                                   OSError("a"), RecursionError("a"), type("NewError", (Exception,), {})("a")])
def test_an_error_of_any_class_is_a_user_error(tmp_path, silent, monkeypatch, error):
    def fail(*_):
        raise error

    Image.fromarray(photo()).save(tmp_path / "a.png")
    monkeypatch.setattr(PngImageFile, "load", fail)
    with pytest.raises(UserError, match=r"a\.png: cannot be read as an image: it is damaged"):
        read_photo(tmp_path / "a.png")
    monkeypatch.setattr(PngImageFile, "_open", fail)
    assert image_size(tmp_path / "a.png") is None


def test_a_damaged_file_is_read_or_refused_whatever_is_damaged(tmp_path, silent):
    random = np.random.default_rng(0)
    for name in [name for name in of_kind(Read) if "turned" not in name]:
        ODD_FILES[name][0](tmp_path / name)
        whole = (tmp_path / name).read_bytes()
        for _ in range(4):
            damaged = bytearray(whole)
            for place in random.integers(0, min(len(whole), 400), random.integers(1, 6)):
                damaged[place] = random.choice([0, 1, 127, 255, random.integers(256)])
            (tmp_path / name).write_bytes(damaged)
            try:
                assert read_photo(tmp_path / name).pixels.size
            except UserError as error:
                assert str(error).startswith(f"{tmp_path / name}: ")  # noqa: PT017
            image_size(tmp_path / name)


def test_pipes_sockets_and_devices_are_not_opened(tmp_path):
    for name in ("pipe.png", "socket.png", "device.png"):
        ODD_FILES[name][0](tmp_path / name)
        assert image_size(tmp_path / name) is None
    with pytest.raises(UserError, match=r"device\.png: is a link to what is no regular file"):
        find_images(tmp_path)


@pytest.mark.parametrize("options", [{}, {"subsampling": "4:4:4"}, {"restart_marker_blocks": 3}])
def test_a_jpeg_without_its_end_marker_is_read_with_a_warning_if_all_pixels_are_there(tmp_path, capsys, options):
    path = tmp_path / "a.jpg"
    Image.fromarray(photo()).save(path, **options)
    whole, expected = path.read_bytes(), np.asarray(Image.open(path))
    path.write_bytes(whole[:-2])
    assert np.array_equal(read_photo(path).pixels, expected)
    assert capsys.readouterr().err == f"warning: {path}: its end marker is missing, but all pixels are there\n"
    path.write_bytes(whole[:-10])
    with pytest.raises(UserError, match="truncated"):
        read_photo(path)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": "4:2:2"}, {"quality": 20}])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_pixels_are_those_of_pillow(tmp_path, options, mode):
    for height, width in ((1, 1), (17, 31), (100, 64)):
        Image.fromarray(make_photo(height, width)).convert(mode).save(tmp_path / "a.jpg", **options)
        assert np.array_equal(read_photo(tmp_path / "a.jpg").pixels, np.asarray(Image.open(tmp_path / "a.jpg")))


@pytest.mark.parametrize("suffix", LOSSLESS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_and_tiff_keep_pixels_profile_and_resolution(tmp_path, suffix, dtype, channels):
    written = Photo(pixels(channels, dtype), profile("grey" if channels < 3 else "sRGB"), (300.0, 150.0))
    write_photo(tmp_path / f"a.{suffix}", written)
    read = read_photo(tmp_path / f"a.{suffix}")
    assert read.pixels.dtype == dtype
    assert np.array_equal(read.pixels, written.pixels)
    assert read.icc_profile == written.icc_profile
    assert read.resolution == pytest.approx(written.resolution, rel=1e-4)  # PNG counts dots per metre


@pytest.mark.parametrize(("suffix", "resolution"), [("jpg", (300.0, 150.0)), ("bmp", (300.0, 150.0)), ("webp", None),
                                                    ("avif", (300.0, 150.0))])
def test_the_other_formats_keep_what_they_can(tmp_path, suffix, resolution):
    write_photo(tmp_path / f"a.{suffix}", Photo(photo(), profile(), (300.0, 150.0)))
    read = read_photo(tmp_path / f"a.{suffix}")
    assert read.icc_profile == (None if suffix == "bmp" else profile())
    assert read.resolution == (resolution and pytest.approx(resolution, rel=1e-4))
    assert np.abs(read.pixels.astype(int) - photo()).mean() < 6
    write_photo(tmp_path / f"a.{suffix}", Photo(pixels(1)))
    assert np.abs(read_photo(tmp_path / f"a.{suffix}").pixels.reshape(HEIGHT, WIDTH, -1).astype(int)
                  - pixels(1)[..., None]).mean() < 3


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_pillow_writes_keeps_profile_and_resolution_and_turns_with_the_image(tmp_path, dtype):
    if dtype == np.uint8:
        Image.fromarray(photo()).save(tmp_path / "a.png", exif=exif(6), icc_profile=profile(), dpi=(300, 150))
    else:
        dots = (b"pHYs", (11811).to_bytes(4, "big") + (5906).to_bytes(4, "big") + b"\1")
        icc_profile = (b"iCCP", b"name\0\0" + zlib.compress(profile()))
        content(png16(3, before=[icc_profile, dots, (b"eXIf", exif(6).tobytes()[6:])]))(tmp_path / "a.png")
    read = read_photo(tmp_path / "a.png")
    assert read.pixels.shape == (WIDTH, HEIGHT, 3)
    assert read.icc_profile == profile()
    assert read.resolution == pytest.approx((150, 300), rel=1e-4)


def test_a_resolution_in_centimetres_is_read_in_inches_and_none_stays_none(tmp_path):
    Image.fromarray(photo()).save(tmp_path / "a.tif", resolution_unit=3, x_resolution=100, y_resolution=50)
    assert read_photo(tmp_path / "a.tif").resolution == (254, 127)
    for suffix in ("png", "jpg", "tif", "webp"):
        Image.fromarray(photo()).save(tmp_path / f"b.{suffix}")
        assert read_photo(tmp_path / f"b.{suffix}").resolution is None


def test_an_image_of_one_pixel_is_written_and_read(tmp_path):
    for suffix in CHOICES:
        for channels in (1, 2, 3, 4):
            for dtype in (np.uint8, np.uint16):
                write_photo(tmp_path / f"a.{suffix}", Photo(pixels(channels, dtype)[:1, :1]))
                assert read_photo(tmp_path / f"a.{suffix}").pixels.shape[:2] == (1, 1)


def test_16_bits_are_rounded_where_a_format_has_8(tmp_path):
    values = np.array([[0, 128, 129, 257 * 100 - 129, 257 * 100 - 128, 65406, 65407, 65535]], np.uint16)
    write_photo(tmp_path / "a.bmp", Photo(values))
    assert read_photo(tmp_path / "a.bmp").pixels.tolist() == [[0, 0, 1, 99, 100, 254, 255, 255]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", ["jpg", "bmp"])
def test_alpha_becomes_white_where_a_format_has_none(tmp_path, suffix, dtype):
    full = np.iinfo(dtype).max
    image = np.zeros((16, 48, 4), dtype)
    image[:, 16:32, 3], image[:, 32:, 3] = full // 2, full
    for channels, name in ((image, "rgb"), (image[..., [0, 3]], "grey")):
        write_photo(tmp_path / f"{name}.{suffix}", Photo(channels))
        read = read_photo(tmp_path / f"{name}.{suffix}").pixels.reshape(16, 48, -1)
        assert read[8, [4, 24, 44], 0] == pytest.approx([255, 128, 0], abs=3)


def test_jpeg_keeps_the_colour_resolution(tmp_path):
    write_photo(tmp_path / "a.jpg", Photo(photo()))
    with Image.open(tmp_path / "a.jpg") as image:
        assert {component[1:3] for component in image.layer} == {(1, 1)}  # sampling factors of Y, Cb, Cr


def test_avif_is_as_near_to_the_pixels_as_jpeg_and_keeps_the_colour_resolution(tmp_path):
    colourful = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    for image in (photo(), colourful):
        errors = {}
        for suffix in ("jpg", "avif"):
            write_photo(tmp_path / f"a.{suffix}", Photo(image))
            errors[suffix] = np.abs(read_photo(tmp_path / f"a.{suffix}").pixels.astype(int) - image).mean()
        assert errors["avif"] < 1.5 * errors["jpg"] < 6


def test_avif_keeps_more_than_8_bits(tmp_path):
    flat = np.full((16, 16, 3), 257 * 100 + 64, np.uint16)
    write_photo(tmp_path / "a.avif", Photo(flat))
    read = read_photo(tmp_path / "a.avif").pixels
    assert read.dtype == np.uint16
    assert np.abs(read.astype(int) - flat).max() < 32
    for value in (0, 65535):
        write_photo(tmp_path / "a.avif", Photo(np.full((16, 16, 3), value, np.uint16)))
        assert np.abs(read_photo(tmp_path / "a.avif").pixels.astype(int) - value).max() <= 16


def test_each_format_is_found_by_its_first_bytes_and_its_suffixes(tmp_path):
    for form in WRITTEN:
        for suffix in form.suffixes:
            write_photo(tmp_path / f"a{suffix}", Photo(photo()))
            start = (tmp_path / f"a{suffix}").read_bytes()[:32]
            assert [other for other in FORMATS if re.match(other.start, start, re.DOTALL)] == [form]
    (tmp_path / "a.txt").write_text("no image")
    assert NAMES.startswith("PNG, JPEG, WebP, TIFF, BMP")
    assert NAMES.endswith("AVIF and GIF")
    with pytest.raises(UserError, match=f"unknown format: {NAMES} are read"):
        read_photo(tmp_path / "a.txt")


def test_a_profile_that_does_not_fit_is_not_written(tmp_path):
    misfits = [(photo(), profile("grey")), (pixels(1), profile()), (photo(), b"damaged")]
    in_webp = [(photo(), profile("grey")), (pixels(1), profile("grey"))]  # where grey becomes RGB
    for suffix, cases in {"png": misfits, "jpg": misfits, "tif": misfits, "webp": in_webp, "avif": in_webp}.items():
        for image, icc_profile in cases:
            write_photo(tmp_path / f"a.{suffix}", Photo(image, icc_profile))
            with Image.open(tmp_path / f"a.{suffix}") as written:
                assert "icc_profile" not in written.info


@pytest.mark.parametrize("name", [name for name in ODD_FILES if name.startswith(("cmyk", "lab", "damaged-profile"))
                                  or "-profile-in-" in name])
def test_a_profile_that_no_longer_fits_or_never_did_is_dropped(tmp_path, name):
    ODD_FILES[name][0](tmp_path / name)
    assert read_photo(tmp_path / name).icc_profile is None


def test_a_tiff_that_may_pass_4_gib_is_a_big_tiff(tmp_path, monkeypatch):
    for limit, start in ((photo().nbytes, b"II*\0"), (photo().nbytes - 1, b"II+\0")):
        monkeypatch.setattr(tiff, "BIG_TIFF", limit)
        write_photo(tmp_path / "a.tif", Photo(photo()))
        assert (tmp_path / "a.tif").read_bytes()[:4] == start
        assert np.array_equal(read_photo(tmp_path / "a.tif").pixels, photo())


def test_a_size_that_a_format_cannot_hold_is_refused_before_the_work(tmp_path):
    for name, width, height, cause in (
            ("a.webp", 16_384, 1, "16,383 pixels a side"), ("a.JPG", 1, 65_501, "65,500 pixels a side"),
            ("a.avif", 16_385, 1, "16,384 pixels a side"),
            ("a.bmp", 40_000, 40_000, "files of 4 GiB"), ("a.png", 100_000_001, 1, "100,000,000 pixels a side"),
            ("a.txt", 1, 1, "no image format for .txt: choose one of .png, "), ("a", 1, 1, "choose one of .png, ")):
        with pytest.raises(UserError, match=f"^{re.escape(str(tmp_path / name))}: .*{re.escape(cause)}"):
            check_output(tmp_path / name, width, height)
    for name, width, height in (("a.webp", 16_383, 16_383), ("a.avif", 16_384, 16_384), ("a.jpeg", 65_500, 65_500),
                                ("a.BMP", 37_000, 37_000),
                                ("a.tiff", 200_000, 200_000), ("a.png", 200_000, 200_000)):
        check_output(tmp_path / name, width, height)
    with pytest.raises(UserError, match=r"a\.webp: 20000 x 1 pixels are too many for WebP"):
        write_photo(tmp_path / "a.webp", Photo(np.zeros((1, 20_000), np.uint8)))
    assert not list(tmp_path.iterdir())


def test_a_format_that_needs_all_pixels_at_once_says_what_it_takes(tmp_path, monkeypatch):
    large = (8000, 12000)
    for name in ("a.png", "a.JPG", "a.tif"):
        assert check_memory(tmp_path / name, (*large, 4)) is None
    for name, cause in (("a.webp", "takes about 2.7 GiB of memory, since WebP is made of all pixels at once"),
                        ("a.AVIF", "takes about 4.3 GiB of memory, since AVIF is made of all pixels at once")):
        assert check_memory(tmp_path / name, (800, 600, 3)) is None
        for shape in (large, (*large, 3)):
            assert check_memory(tmp_path / name, shape) == f"{tmp_path / name}: {cause}; PNG, JPEG or TIFF would not"
    monkeypatch.setattr("imaging.limits._machine_memory", lambda: 4 << 30)
    assert check_memory(tmp_path / "a.webp", large)
    with pytest.raises(UserError, match=r"a\.avif: 12000 x 8000 pixels take about 4\.3 GiB .* has 4\.0 GiB: choose"):
        check_memory(tmp_path / "a.avif", large)


def test_a_photo_of_100_megapixels_is_read_silently_and_one_beyond_the_limit_is_not(tmp_path, silent):
    row = b"\0" + bytes(10_000 // 8)
    content(png(10_000, 10_000, 1, 0, row * 10_000))(tmp_path / "large.png")
    assert read_photo(tmp_path / "large.png").pixels.shape == (10_000, 10_000)
    content(png(178_956_971, 1, 1, 0))(tmp_path / "larger.png")
    with pytest.raises(UserError, match=r"larger\.png: .* 178956971 x 1 pixels, and images of up to 178,956,970"):
        read_photo(tmp_path / "larger.png")


@pytest.mark.parametrize("suffix", CHOICES)
def test_a_full_disk_is_a_write_error_and_leaves_the_older_file(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(b"older")
    script = f"""
import resource, numpy as np
from files import WriteError
from imaging.photos import Photo, write_photo
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
try:
    write_photo({str(path)!r}, Photo(np.random.default_rng(0).integers(0, 256, (300, 300, 3)).astype(np.uint8)))
except WriteError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert (result.stdout, result.stderr) == (f"{path}: cannot be written: File too large\n", "")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"older"]


@pytest.mark.parametrize("suffix", CHOICES)
def test_a_place_that_cannot_be_written_to_is_a_write_error(tmp_path, suffix):
    (tmp_path / "file").touch()
    (tmp_path / f"folder.{suffix}").mkdir()
    for path, cause in ((tmp_path / "file" / f"a.{suffix}", "File exists|Not a directory"),
                        (tmp_path / f"folder.{suffix}", "Is a directory"),
                        (tmp_path / f"{'a' * 260}.{suffix}", "File name too long")):
        with pytest.raises(WriteError, match=f"^{path}: cannot be written: ({cause})$"):
            write_photo(path, Photo(photo()))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", f"folder.{suffix}"]


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_writing_a_large_image_makes_no_copy_of_it(tmp_path, suffix):
    script = f"""
import resource, numpy as np
from imaging.photos import Photo, write_photo
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
write_photo({str(tmp_path / f"small.{suffix}")!r}, Photo(np.zeros((2000, 2000, 3), np.uint8)))
image = np.full((8000, 8000, 3), 100, np.uint8)
before = peak()
write_photo({str(tmp_path / f"a.{suffix}")!r}, Photo(image))
print(image.nbytes / 2**20, peak() - before)
"""
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    size, more = map(float, result.stdout.split())
    assert more < size / 3


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [suffix for suffix in CHOICES if suffix != "avif"])
def test_reading_a_large_image_takes_8_bytes_a_pixel(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    write_photo(path, Photo(np.full((4000, 5000, 3), 100, np.uint8)))
    script = f"""
import resource
from imaging.photos import read_photo
from imaging import vips
vips.load()
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
read_photo({str(path)!r})
print((peak() - before) / 20e6)
"""
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert float(result.stdout) < 8.5


def test_libvips_is_imported_only_when_it_is_needed(tmp_path):
    Image.fromarray(photo()).save(tmp_path / "a.png")
    script = f"""
import sys
import threading
from imaging.image_files import read_image
read_image({str(tmp_path / "a.png")!r})
print("pyvips" in sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"


def test_a_real_photo_survives_all_lossless_formats(test_data, tmp_path):
    source = sorted((test_data / "train" / "BSDS500_test").glob("*.jpg"))[0]
    with Image.open(source) as image:
        image.save(tmp_path / "photo.jpg", quality="keep", icc_profile=profile(), dpi=(240, 240))
    expected = np.asarray(Image.open(tmp_path / "photo.jpg"))
    read = read_photo(tmp_path / "photo.jpg")
    assert np.array_equal(read.pixels, expected)
    assert (read.icc_profile, read.resolution) == (profile(), (240, 240))
    for suffix in LOSSLESS:
        write_photo(tmp_path / f"photo.{suffix}", read)
        again = read_photo(tmp_path / f"photo.{suffix}")
        assert np.array_equal(again.pixels, expected)
        assert (again.icc_profile, again.resolution) == (profile(), pytest.approx((240, 240), rel=1e-4))


def test_missing_pixels_of_a_jpeg_are_found_though_another_thread_has_libvips_forget_its_messages(tmp_path):
    ODD_FILES["two-bytes-short.jpg"][0](tmp_path / "a.jpg")
    library, is_done = vips.load().vips_lib, threading.Event()

    def clear():
        while not is_done.is_set():
            library.vips_error_clear()

    thread = threading.Thread(target=clear)
    thread.start()
    try:
        for _ in range(20):
            with pytest.raises(UserError, match=r"premature end of data|was lost"):
                read_photo(tmp_path / "a.jpg")
    finally:
        is_done.set()
        thread.join()
