"""A PIL image comes back upright, and is saved with what the original tells."""

import copy
import io
import pickle
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps
from PIL.PngImagePlugin import PngInfo

from imaging.encodings import D65, SRGB
from imaging.profiles import matrix_profile
from super_resolution import SuperResolver
from tests.golden_cases import NETWORKS, set_weights
from tests.odd_file_makers import HEIGHT, WIDTH, photo, pixels, png, profile, turned

SCALE = 3
SWAPPED = matrix_profile("red and green swapped", (*D65, *SRGB[2:4], *SRGB[:2], *SRGB[4:]))
EXACT = {"jpg": {"quality": 95, "subsampling": 0}, "webp": {"lossless": True}, "avif": {"quality": 95}}
FORMATS = ("png", "jpg", "webp", "tif", "avif")


@pytest.fixture(scope="module")
def super_resolve():
    model = NETWORKS["wdsr-b-x3"]()
    set_weights(model)
    return SuperResolver(model)


def phone_exif():
    tags = Image.Exif()
    tags[274], tags[306] = 6, "2019:05:04 10:11:12"
    tags.get_ifd(34853)[1] = "N"
    return tags


def seen(path):
    """Returns the upright image of a file as sRGB, and what Pillow tells of it."""
    with Image.open(path) as image:
        image.load()
        upright, tags = ImageOps.exif_transpose(image).convert("RGB"), image.getexif()
        if "icc_profile" in image.info:
            source = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
            upright = ImageCms.profileToProfile(upright, source, ImageCms.createProfile("sRGB"))
        return np.asarray(upright).astype(int), image.info, tags


@pytest.mark.parametrize("source", FORMATS)
def test_five_lines_keep_orientation_profile_and_date_in_every_format(super_resolve, tmp_path, source):
    Image.fromarray(turned(photo(), 6)).save(tmp_path / f"a.{source}", exif=phone_exif(), icc_profile=SWAPPED,
                                             dpi=(300, 300), **EXACT.get(source, {}))
    expected = super_resolve.enlarge(photo())[..., [1, 0, 2]].astype(int)
    for target in (*FORMATS, "bmp"):
        super_resolve.enlarge(Image.open(tmp_path / f"a.{source}")).save(tmp_path / f"b.{target}")
        shown, info, tags = seen(tmp_path / f"b.{target}")
        assert shown.shape == (HEIGHT * SCALE, WIDTH * SCALE, 3)
        if source == "png" and target in ("png", "tif", "bmp"):
            # The network takes the stored values: its result for them is turned, and their channels are swapped.
            assert np.abs(shown - super_resolve.enlarge(photo())[..., [1, 0, 2]]).mean() < 40
        assert (info.get("icc_profile") == SWAPPED) == (target != "bmp")
        assert tags.get(306) == (None if target == "bmp" else "2019:05:04 10:11:12")
        assert tags.get(274, 1) == 1
        if source in ("png", "jpg", "tif") and target in ("png", "jpg", "tif", "bmp"):
            assert info["dpi"] == pytest.approx((300, 300), rel=1e-3)
    assert expected.shape == shown.shape


def test_pixels_are_turned_before_the_network_sees_them(super_resolve):
    image = Image.fromarray(turned(photo(), 6))
    image.info["exif"] = phone_exif().tobytes()
    assert np.array_equal(np.asarray(super_resolve.enlarge(image)), super_resolve.enlarge(photo()))
    assert image.info["exif"] == phone_exif().tobytes()  # the original stays


def test_what_is_given_to_save_goes_before(super_resolve, tmp_path):
    image = Image.fromarray(photo())
    image.info["icc_profile"], image.info["exif"] = SWAPPED, phone_exif().tobytes()
    sr = super_resolve.enlarge(image)
    sr.save(tmp_path / "a.jpg", icc_profile=None, exif=b"")
    _, info, tags = seen(tmp_path / "a.jpg")
    assert "icc_profile" not in info
    assert not dict(tags)


def test_copies_are_saved_as_well(super_resolve, tmp_path):
    sr = super_resolve.enlarge(Image.fromarray(photo()))
    pickled = pickle.loads(pickle.dumps(sr))
    for i, other in enumerate((copy.copy(sr), copy.deepcopy(sr), pickled, sr.copy(), sr.resize((9, 9)))):
        other.save(tmp_path / f"{i}.png")
        other.save(tmp_path / f"{i}.gif")
    buffer = io.BytesIO()
    sr.save(buffer, "PNG")
    with Image.open(buffer) as image:
        assert np.array_equal(np.asarray(image), np.asarray(sr))


def test_texts_and_xmp_are_kept(super_resolve, tmp_path):
    texts = PngInfo()
    texts.add_text("parameters", "a cat, steps 20")
    texts.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta>猫</x:xmpmeta>")
    Image.fromarray(photo()).save(tmp_path / "a.png", pnginfo=texts)
    sr = super_resolve.enlarge(Image.open(tmp_path / "a.png"))
    for suffix in FORMATS:
        sr.save(tmp_path / f"b.{suffix}")
        info = seen(tmp_path / f"b.{suffix}")[1]
        assert info["xmp"] == "<x:xmpmeta>猫</x:xmpmeta>".encode()
    assert seen(tmp_path / "b.png")[1]["parameters"] == "a cat, steps 20"


def test_grey_with_a_profile_is_saved_in_colours_that_the_format_holds(super_resolve, tmp_path):
    image = Image.fromarray(pixels(1))
    image.info["icc_profile"] = profile("grey")
    sr = super_resolve.enlarge(image)
    for suffix in ("webp", "avif", "bmp", "gif"):
        sr.save(tmp_path / f"a.{suffix}")
        shown, info, _ = seen(tmp_path / f"a.{suffix}")
        assert "icc_profile" not in info
        assert np.abs(shown[..., 0] - np.asarray(sr)).mean() < 12
    sr.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert (image.mode, image.info["icc_profile"]) == ("L", profile("grey"))


def test_linear_light_becomes_srgb_and_few_bits_keep_their_transparency(super_resolve, tmp_path):
    rows = b"".join(b"\0" + row.tobytes() for row in photo())
    (tmp_path / "a.png").write_bytes(png(WIDTH, HEIGHT, 8, 2, rows, [(b"gAMA", struct.pack(">I", 100_000))]))
    values = photo() / 255
    srgb = np.where(values <= 0.0031308, 12.92 * values, 1.055 * values ** (1 / 2.4) - 0.055)
    expected = super_resolve.enlarge(np.floor(255 * srgb + 0.5).astype(np.uint8))
    assert np.array_equal(np.asarray(super_resolve.enlarge(Image.open(tmp_path / "a.png"))), expected)
    rows = b"".join(b"\0" + bytes([0x51] * 6) for _ in range(8))
    (tmp_path / "a.png").write_bytes(png(12, 8, 4, 0, rows, [(b"tRNS", b"\0\5")]))
    sr = np.asarray(super_resolve.enlarge(Image.open(tmp_path / "a.png")))
    assert sr[12, 1::6, 1].max() == 0  # the middle of pixels of grey 5
    assert sr[12, 4::6, 1].min() == 255
