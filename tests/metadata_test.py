"""What a photo tells of itself is kept, and made true of the output."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from imaging import directories
from imaging.metadata import MAX_BYTES, Metadata
from imaging.photos import Photo, read_photo, write_photo
from imaging.profiles import matrix_profile
from imaging.tags import ORIENTATION
from tests.odd_file_makers import HEIGHT, WIDTH, photo, png, turned

HOLD_EXIF = ("png", "jpg", "webp", "tif", "avif")
EXIF, GPS = 34665, 34853
XMP = (b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
       b'<rdf:Description tiff:Orientation="6" tiff:ImageWidth="18" exif:PixelYDimension="26" exif:ColorSpace="65535">'
       b'<xmp:Thumbnails>large</xmp:Thumbnails></rdf:Description></rdf:RDF></x:xmpmeta>')
ADOBE = matrix_profile("Adobe", (0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06), 2.2)


def camera_exif(orientation=1):
    """EXIF as cameras write it, with wrong sizes."""
    tags = Image.Exif()
    tags[271], tags[306], tags[315], tags[33432] = "Testcam", "2019:05:04 10:11:12", "A. Nonymous", "(c) Nobody"
    tags[ORIENTATION], tags[256], tags[257] = orientation, 9, 9
    tags.get_ifd(EXIF).update({36867: "2019:05:04 10:11:12", 40961: 65535, 40962: 9, 40963: 9})
    tags.get_ifd(GPS).update({1: "N", 2: (10.0, 20.0, 30.0), 3: "E", 4: (1.0, 2.0, 3.0)})
    return tags


def told(path):
    """Returns a file's EXIF as {tag: value}, and those of its directories for EXIF and GPS."""
    with Image.open(path) as image:
        if path.suffix == ".png":
            image.load()
        tags = image.getexif()
        return tags, tags.get_ifd(EXIF), tags.get_ifd(GPS)


def twice(image):
    return image._replace(pixels=image.pixels.repeat(2, axis=0).repeat(2, axis=1))


@pytest.mark.parametrize("source", HOLD_EXIF)
def test_date_camera_copyright_and_place_are_kept_in_every_format(tmp_path, source):
    tags = camera_exif()
    del tags[256], tags[257]  # which Pillow would believe in TIFF
    Image.fromarray(photo()).save(tmp_path / f"a.{source}", exif=tags.tobytes())
    read = read_photo(tmp_path / f"a.{source}")
    for target in HOLD_EXIF:
        write_photo(tmp_path / f"b.{target}", twice(read))
        tags, exif, gps = told(tmp_path / f"b.{target}")
        assert (tags[271], tags[306], tags[315], tags[33432]) == (
            "Testcam", "2019:05:04 10:11:12", "A. Nonymous", "(c) Nobody"), target
        assert exif[36867] == "2019:05:04 10:11:12"
        assert gps[2] == (10.0, 20.0, 30.0)
        assert np.abs(read_photo(tmp_path / f"b.{target}").pixels.astype(int) - twice(read).pixels).mean() < 6


@pytest.mark.parametrize("suffix", HOLD_EXIF)
def test_orientation_sizes_and_colour_space_are_those_of_the_output(tmp_path, suffix):
    for icc_profile, space in ((None, 1), (ADOBE, 65535)):
        Image.fromarray(turned(photo(), 6)).save(tmp_path / "a.jpg", exif=camera_exif(6), icc_profile=icc_profile)
        write_photo(tmp_path / f"b.{suffix}", twice(read_photo(tmp_path / "a.jpg")))
        tags, exif, _ = told(tmp_path / f"b.{suffix}")
        assert tags.get(ORIENTATION, 1) == 1
        assert read_photo(tmp_path / f"b.{suffix}").pixels.shape == (2 * HEIGHT, 2 * WIDTH, 3)
        assert exif.get(40961, space) == space
        assert (exif.get(40962), exif.get(40963)) == (2 * WIDTH, 2 * HEIGHT)
        assert (tags.get(256, 2 * WIDTH), tags.get(257, 2 * HEIGHT)) == (2 * WIDTH, 2 * HEIGHT)


def test_a_photo_without_exif_gets_no_colour_space_that_is_not_its_own(tmp_path):
    for suffix in HOLD_EXIF:
        write_photo(tmp_path / f"a.{suffix}", Photo(photo()))
        assert told(tmp_path / f"a.{suffix}")[1].get(40961, 1) == 1


@pytest.mark.parametrize("suffix", HOLD_EXIF)
def test_xmp_is_kept_and_fits_the_output(tmp_path, suffix):
    Image.fromarray(turned(photo(), 6)).save(tmp_path / "a.jpg", xmp=XMP, quality=95)
    read = read_photo(tmp_path / "a.jpg")
    assert read.pixels.shape == photo().shape
    write_photo(tmp_path / f"b.{suffix}", twice(read))
    xmp = read_photo(tmp_path / f"b.{suffix}").metadata.xmp
    for words in (b'tiff:Orientation="1"', b'tiff:ImageWidth="52"', b'exif:PixelYDimension="36"', b'ColorSpace="1"'):
        assert words in xmp
    assert b"Thumbnails" not in xmp


def test_texts_of_png_and_comments_of_jpeg_are_kept(tmp_path):
    texts = PngInfo()
    texts.add_text("parameters", "a cat, steps 20")
    texts.add_text("Copyright", "(c) Nobody", zip=True)
    texts.add_itxt("Title", "猫", "ja", "題", zip=True)
    Image.fromarray(photo()).save(tmp_path / "a.png", pnginfo=texts)
    write_photo(tmp_path / "b.png", read_photo(tmp_path / "a.png"))
    with Image.open(tmp_path / "b.png") as image:
        assert image.text == {"parameters": "a cat, steps 20", "Copyright": "(c) Nobody", "Title": "猫"}
    Image.fromarray(photo()).save(tmp_path / "a.jpg", comment=b"a comment")
    write_photo(tmp_path / "b.jpg", read_photo(tmp_path / "a.jpg"))
    with Image.open(tmp_path / "b.jpg") as image:
        assert image.info["comment"] == b"a comment"


def test_the_mark_of_a_jpeg_is_not_taken_for_a_comment(tmp_path):
    write_photo(tmp_path / "a.jpg", Photo(photo()), {"kind": "output"})
    assert read_photo(tmp_path / "a.jpg").metadata == Metadata()


def test_exif_that_imagemagick_stored_as_text_is_exif(tmp_path):
    block = camera_exif(6).tobytes()
    digits = block.hex()
    lines = "\n".join(digits[i:i + 72] for i in range(0, len(digits), 72))
    text = f"\nexif\n{len(block):8}\n{lines}\n".encode()
    rows = b"".join(b"\0" + row.tobytes() for row in turned(photo(), 6))
    profile = (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))
    (tmp_path / "a.png").write_bytes(png(HEIGHT, WIDTH, 8, 2, rows, [profile]))
    read = read_photo(tmp_path / "a.png")
    assert np.array_equal(read.pixels, photo())
    write_photo(tmp_path / "b.png", read)
    assert told(tmp_path / "b.png")[0][306] == "2019:05:04 10:11:12"


@pytest.mark.parametrize("suffix", HOLD_EXIF)
def test_a_stripped_photo_tells_nothing_but_its_colours(tmp_path, suffix):
    metadata = Metadata(camera_exif().tobytes()[6:], XMP, ((b"tEXt", b"a\0b"),), b"c")
    write_photo(tmp_path / f"a.{suffix}", Photo(photo(), ADOBE, (300.0, 300.0), metadata).stripped())
    tags, _, gps = told(tmp_path / f"a.{suffix}")
    assert not {271, 306, 315, 33432} & set(tags)
    assert not gps
    again = read_photo(tmp_path / f"a.{suffix}")
    assert again.icc_profile == ADOBE
    assert (again.metadata.xmp, again.metadata.texts, again.metadata.comment) == (None, (), None)
    assert again.resolution in (None, (72, 72)) or again.resolution == pytest.approx((72, 72), rel=1e-3)


def block_with_thumbnail(order):
    """A block of EXIF with a maker's note at its own offset, two resolutions, and a thumbnail at its end."""
    def entry(tag, kind, count, value):
        return struct.pack(f"{order}HHI", tag, kind, count) + value

    def long(value):
        return struct.pack(f"{order}I", value)

    header = {"<": b"II*\0", ">": b"MM\0*"}[order] + long(8)
    main = struct.pack(f"{order}H", 4) + entry(274, 3, 1, struct.pack(f"{order}HH", 6, 0)) + entry(
        282, 5, 1, long(100)) + entry(283, 5, 1, long(108)) + entry(34665, 4, 1, long(62)) + long(130)
    exif = struct.pack(f"{order}H", 2) + entry(37500, 7, 4 + 2, long(116)) + entry(40962, 4, 1, long(9)) + long(0)
    data = (header + main + exif).ljust(100, b"\0") + long(300) + long(1) + long(150) + long(1) + b"note 1"
    data = data.ljust(130, b"\0") + struct.pack(f"{order}H", 2) + entry(513, 4, 1, long(160)) + entry(
        514, 4, 1, long(50)) + long(0)
    return data + b"\xff\xd8" + bytes(48)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_block_is_changed_in_place_and_loses_its_thumbnail(order):
    block = block_with_thumbnail(order)
    assert Metadata(block).tags()[ORIENTATION] == 6
    fitted = Metadata(block).fitted(70_000, 40, False, swaps_axes=True)
    assert fitted.tags() == {ORIENTATION: 1, 282: 150, 283: 300}
    assert b"\xff\xd8" not in fitted.exif
    header = directories.read_header(fitted.exif)
    main = directories.read_directory(fitted.exif, header, 8)
    exif = directories.subdirectory(fitted.exif, header, main, EXIF)
    assert directories.values(fitted.exif, header, exif.entries[40962]) == (70_000,)
    assert fitted.exif[116:122] == block[116:122] == b"note 1"
    assert directories.next_offset(fitted.exif, header, main) == 0


@pytest.mark.slow
def test_damaged_or_huge_metadata_are_dropped_without_an_error(tmp_path):
    random, block = np.random.default_rng(0), camera_exif(6).tobytes()[6:]
    for _ in range(400):
        damaged = bytearray(block[:random.integers(1, len(block) + 1)])
        for place in random.integers(0, len(damaged), 3):
            damaged[place] = random.choice([0, 1, 127, 255, random.integers(256)])
        metadata = Metadata(bytes(damaged)).bounded()
        metadata.tags()
        metadata.is_adobe_rgb()
        fitted = metadata.fitted(20, 30, False, True)
        write_photo(tmp_path / "a.tif", Photo(photo()[:2, :2], metadata=fitted))
    large = bytes(MAX_BYTES + 1)
    assert Metadata(large, large, ((b"tEXt", large),)).bounded() == Metadata()
    image = Photo(photo(), metadata=Metadata(xmp=b"<x/>" * 30_000, comment=bytes(70_000)))
    write_photo(tmp_path / "a.jpg", image)  # no segment holds them
    assert read_photo(tmp_path / "a.jpg").metadata == Metadata()
