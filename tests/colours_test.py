"""What a colour-managed viewer shows is what comes out."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from comparison import load_hr
from comparison.presentation import Presentation
from errors import UserError
from imaging.colour import shown
from imaging.encodings import D65, PRIMARIES, SRGB
from imaging.photos import Photo, read_photo, write_photo
from imaging.profiles import matrix_profile
from super_resolution.jobs import Job
from tests.odd_file_makers import HEIGHT, WIDTH, avif, photo, pixels, png, png16, profile

P3 = matrix_profile("P3", PRIMARIES[12])
SWAPPED = matrix_profile("red and green swapped", (*D65, *SRGB[2:4], *SRGB[:2], *SRGB[4:]))
ROWS = b"".join(b"\0" + row.tobytes() for row in photo())
LINEAR, SRGB_CHUNK = (b"gAMA", struct.pack(">I", 100_000)), (b"sRGB", b"\0")
P3_CODE, P3_CORNERS = (b"cICP", b"\x0c\x0d\0\1"), (b"cHRM", struct.pack(
    ">8I", *[round(100_000 * value) for value in PRIMARIES[12]]))
ICC = (b"iCCP", b"name\0\0" + zlib.compress(SWAPPED))


def encoded(light):
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def by_gamma(image, gamma):
    return 255 * encoded((image / 255) ** (1 / gamma))


def by_profile(image, icc_profile):
    """Returns an array as sRGB, by LittleCMS."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
    return np.asarray(ImageCms.profileToProfile(Image.fromarray(image), source, ImageCms.createProfile("sRGB"), 1,
                                                "RGB")).astype(float)


def by_primaries(image, chromaticities):
    """Returns an array with sRGB's curve as sRGB, by the matrices of colour science."""
    def to_xyz(points):
        points = np.array(points).reshape(4, 2)
        white, *corners = [(x / y, 1, (1 - x - y) / y) for x, y in points]
        matrix = np.array(corners).T
        return matrix * np.linalg.solve(matrix, white)

    values = image / 255
    light = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    light = light @ (np.linalg.inv(to_xyz((*D65, *SRGB))) @ to_xyz(chromaticities)).T
    return 255 * encoded(np.clip(light, 0, 1))


def seen(path):
    """Returns what a viewer that knows profiles alone shows of a file, floats."""
    with Image.open(path) as image:
        icc_profile = image.info.get("icc_profile")
        array = np.asarray(image)
    return by_profile(array, icc_profile) if icc_profile else array.astype(float)


@pytest.mark.parametrize(("chunks", "expected"), [
    ([LINEAR], by_gamma(photo(), 1)),
    ([(b"gAMA", struct.pack(">I", 68_966))], by_gamma(photo(), 0.68966)),
    ([(b"gAMA", struct.pack(">I", 45_455))], photo()),
    ([(b"gAMA", struct.pack(">I", 0))], photo()),
    ([SRGB_CHUNK, LINEAR], photo()),
    ([ICC, LINEAR], by_profile(photo(), SWAPPED)),
    ([ICC, P3_CODE], by_primaries(photo(), PRIMARIES[12])),
    ([P3_CODE, SRGB_CHUNK, LINEAR], by_primaries(photo(), PRIMARIES[12])),
    ([(b"cICP", b"\x01\x08\0\1")], by_gamma(photo(), 1)),
    ([P3_CORNERS], by_primaries(photo(), PRIMARIES[12])),
    ([P3_CORNERS, LINEAR], by_primaries(by_gamma(photo(), 1), PRIMARIES[12])),
    ([SRGB_CHUNK, P3_CORNERS], photo()),
], ids=lambda value: "+".join(name.decode() for name, _ in value) if isinstance(value, list) else "")
@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_the_chunks_of_a_png_are_shown_in_their_order_of_precedence(tmp_path, chunks, expected, suffix):
    (tmp_path / "a.png").write_bytes(png(WIDTH, HEIGHT, 8, 2, ROWS, chunks))
    write_photo(tmp_path / f"b.{suffix}", read_photo(tmp_path / "a.png"))
    difference = np.abs(seen(tmp_path / f"b.{suffix}") - expected)
    assert difference.mean() < 0.7
    assert difference.max() < 4


def test_a_curve_is_exchanged_in_16_bits_and_grey_and_leaves_alpha(tmp_path):
    for channels in (1, 2, 3, 4):
        image = pixels(channels, np.uint16)
        (tmp_path / "a.png").write_bytes(png16(channels, before=[LINEAR]))
        read = read_photo(tmp_path / "a.png").pixels
        colours = slice(None) if channels in (1, 3) else slice(-1)
        expected = 65535 * encoded(image[..., colours] / 65535)
        assert np.abs(read[..., colours] - expected).max() <= 0.51
        if channels in (2, 4):
            assert np.array_equal(read[..., -1], image[..., -1])


@pytest.mark.parametrize("transfer", [16, 18])
def test_high_dynamic_range_is_refused_in_words(tmp_path, transfer):
    (tmp_path / "a.png").write_bytes(png(WIDTH, HEIGHT, 8, 2, ROWS, [(b"cICP", bytes([9, transfer, 0, 1]))]))
    with pytest.raises(UserError, match=r"a\.png: .*high dynamic range \((PQ|HLG)\), which is not supported: save"):
        read_photo(tmp_path / "a.png")


def camera_exif(space, index):
    tags = Image.Exif()
    tags.get_ifd(34665)[40961] = space
    tags.get_ifd(34665)[40965] = {1: index, 2: b"0100"}
    return tags


@pytest.mark.parametrize("space", [2, 65535])
def test_a_camera_s_mark_of_adobe_rgb_becomes_a_profile(tmp_path, space):
    Image.fromarray(photo()).save(tmp_path / "a.jpg", quality=95, subsampling=0, exif=camera_exif(space, "R03"))
    read = read_photo(tmp_path / "a.jpg")
    red = by_profile(np.full((1, 1, 3), (200, 40, 40), np.uint8), read.icc_profile)[0, 0]
    assert red == pytest.approx((234, 33, 36), abs=2)  # by Adobe RGB (1998)'s own profile
    Image.fromarray(photo()).save(tmp_path / "a.jpg", exif=camera_exif(1, "R98"))
    assert read_photo(tmp_path / "a.jpg").icc_profile is None


def test_the_code_points_of_an_avif_become_a_profile(tmp_path):
    avif(photo())(tmp_path / "a.avif")
    data = (tmp_path / "a.avif").read_bytes()
    start = data.index(b"colrnclx") + 8
    (tmp_path / "a.avif").write_bytes(data[:start] + struct.pack(">HH", 12, 13) + data[start + 4:])
    assert read_photo(tmp_path / "a.avif").icc_profile == matrix_profile("RGB primaries of the image", PRIMARIES[12])
    (tmp_path / "a.avif").write_bytes(data)
    assert read_photo(tmp_path / "a.avif").icc_profile is None


def test_the_profile_in_a_bmp_is_kept(tmp_path):
    data = bytes(-(-3 * WIDTH // 4) * 4 * HEIGHT)
    header = struct.pack("<IiiHHIIiiII", 124, WIDTH, HEIGHT, 1, 24, 0, len(data), 0, 0, 0, 0).ljust(56, b"\0")
    header += b"DEBM" + bytes(52) + struct.pack("<III", 124 + len(data), len(SWAPPED), 0)
    start = struct.pack("<2sIHHI", b"BM", 138 + len(data) + len(SWAPPED), 0, 0, 138)
    (tmp_path / "a.bmp").write_bytes(start + header + data + SWAPPED)
    assert read_photo(tmp_path / "a.bmp").icc_profile == SWAPPED


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("channels", "icc_profile", "suffix"), [
    (3, SWAPPED, "bmp"), (4, SWAPPED, "bmp"), (1, profile("grey"), "bmp"), (1, profile("grey"), "webp"),
    (1, profile("grey"), "avif")])
def test_pixels_become_srgb_where_the_format_cannot_hold_their_profile(tmp_path, dtype, channels, icc_profile, suffix):
    image = pixels(channels, dtype)
    if channels == 4:
        image[..., 3] = np.iinfo(dtype).max
    write_photo(tmp_path / f"a.{suffix}", Photo(image, icc_profile))
    assert read_photo(tmp_path / f"a.{suffix}").icc_profile is None
    expected = by_profile(pixels(min(channels, 3)), icc_profile)
    result = seen(tmp_path / f"a.{suffix}")
    assert np.abs(result.reshape(HEIGHT, WIDTH, -1) - expected).mean() < 3


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_images_are_shown_in_srgb_on_white(dtype, channels):
    image, icc_profile = pixels(channels, dtype), SWAPPED if channels > 2 else profile("grey")
    expected = by_profile(pixels(1 if channels < 3 else 3), icc_profile)
    if channels in (2, 4):
        alpha = pixels(channels)[..., -1:] / 255
        expected = expected * alpha + 255 * (1 - alpha)
    assert np.abs(shown(image, icc_profile) - expected).max() <= 2.5
    rgb = photo()
    assert np.shares_memory(shown(rgb, None), rgb)


def test_figures_page_and_originals_are_in_srgb(tmp_path):
    class Page:
        def add(self, comparison, *_):
            self.comparison = comparison

    class Network:
        scale, name = 2, "network"

    source = tmp_path / "a.png"
    large = photo().repeat(2, axis=0).repeat(2, axis=1)
    write_photo(source, Photo(large, SWAPPED))
    hr = load_hr(source, photo().shape[:2], 2)
    page = Page()
    presentation = Presentation(page, Network, {source: tmp_path / "figure.png"}, {})
    presentation.add(Job(source, "a.png", tmp_path / "b.png"), Photo(photo(), SWAPPED), large, hr)
    expected = by_profile(photo(), SWAPPED)
    assert np.abs(page.comparison.lr - expected).max() <= 1
    assert np.abs(page.comparison.sr[::2, ::2] - expected).max() <= 1
    assert np.abs(page.comparison.hr[::2, ::2] - expected).max() <= 1


def test_a_lossless_webp_stays_lossless_with_the_colours_of_transparent_pixels(tmp_path):
    image = pixels(4)
    image[:20, :, 3] = 0
    Image.fromarray(image).save(tmp_path / "a.webp", lossless=True, exact=True)
    write_photo(tmp_path / "b.webp", read_photo(tmp_path / "a.webp"))
    assert np.array_equal(read_photo(tmp_path / "b.webp").pixels, image)
    Image.fromarray(photo()).save(tmp_path / "a.webp", quality=90)
    assert not read_photo(tmp_path / "a.webp").is_lossless
