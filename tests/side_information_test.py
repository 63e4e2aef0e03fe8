"""Sound pixels beside damaged, odd or very large side information are an image."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from errors import UserError
from imaging import tiff
from imaging.metadata import MAX_BYTES
from imaging.photos import Photo, read_photo, write_photo
from tests.conftest import make_photo
from tests.odd_file_makers import HEIGHT, WIDTH, exif, photo, pixels, png, png16, profile, spoilt_chunk

ROWS = b"".join(b"\0" + row.tobytes() for row in photo())
NOISE = np.random.default_rng(0).bytes(1_200_000)


def rgb_png(*before, after=()):
    return png(WIDTH, HEIGHT, 8, 2, ROWS, before, after)


def packed_text(name, size):
    return name, b"key\0" + (b"\0" if name == b"zTXt" else b"\1\0\0\0") + zlib.compress(bytes([65]) * size)


def large_profile():
    """A sound profile with a large private part at its end."""
    data = profile() + NOISE
    return struct.pack(">I", len(data)) + data[4:]


BESIDE = {
    "text": rgb_png((b"tEXt", b"Comment\0hello")),
    "dots": rgb_png((b"pHYs", struct.pack(">IIB", 11811, 11811, 1))),
    "gamma": rgb_png((b"gAMA", struct.pack(">I", 100_000))),
    "profile": rgb_png((b"iCCP", b"x\0\0" + zlib.compress(profile()))),
}
SOUND = {
    **{f"wrong checksum of {name}": spoilt_chunk(data) for name, data in BESIDE.items()},
    "wrong checksum behind the pixels": spoilt_chunk(rgb_png(after=[(b"tEXt", b"Comment\0hello")]), b"tEXt"),
    "short pHYs": rgb_png((b"pHYs", b"\0\0\1")),
    "short gAMA": rgb_png((b"gAMA", b"\0")),
    "short cHRM": rgb_png((b"cHRM", bytes(31))),
    "cHRM of zeros": rgb_png((b"cHRM", bytes(32))),
    "short cICP": rgb_png((b"cICP", b"\x0c")),
    "unknown cICP": rgb_png((b"cICP", b"\xc8\xc8\0\1")),
    "short tRNS": rgb_png((b"tRNS", b"\0\1")),
    "short eXIf": rgb_png((b"eXIf", b"MM")),
    "iCCP without end of its name": rgb_png((b"iCCP", b"noNul")),
    "iCCP with another method": rgb_png((b"iCCP", b"x\0\1" + zlib.compress(profile()))),
    "iCCP of garbage": rgb_png((b"iCCP", b"x\0\0garbage")),
    "profile of 1.2 MB": rgb_png((b"iCCP", b"x\0\0" + zlib.compress(large_profile()))),
    "XMP of 2 MB": rgb_png((b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(2_000_000)))),
    "zTXt of 2 MB": rgb_png(packed_text(b"zTXt", 2_000_000)),
    "iTXt of 2 MB": rgb_png(packed_text(b"iTXt", 2_000_000)),
    "zTXt of 50 MB": rgb_png(packed_text(b"zTXt", 50_000_000)),
    "iTXt that is no UTF-8": rgb_png((b"iTXt", b"K\0\0\0de\0\xff\xfe\0\xe9\xff")),
    "no IEND": rgb_png()[:-12],
}


@pytest.mark.parametrize("name", SOUND)
def test_a_png_is_read_and_its_copy_opened_by_pillow_whatever_stands_beside_the_pixels(tmp_path, name):
    (tmp_path / "a.png").write_bytes(SOUND[name])
    read = read_photo(tmp_path / "a.png")
    assert np.array_equal(read.pixels, photo())
    write_photo(tmp_path / "b.png", read)
    with Image.open(tmp_path / "b.png") as image:
        assert np.abs(np.asarray(image).astype(int) - photo()).max() <= 1  # a large sRGB profile became sRGB


def test_so_is_a_png_of_16_bits(tmp_path):
    for i, data in enumerate((spoilt_chunk(png16(3, before=[(b"tIME", bytes(7))])),
                              png16(3, before=[(b"iCCP", b"x\0\0" + zlib.compress(large_profile()))]))):
        (tmp_path / f"{i}.png").write_bytes(data)
        assert np.array_equal(read_photo(tmp_path / f"{i}.png").pixels, pixels(3, np.uint16))


def test_large_texts_are_passed_on_up_to_a_limit(tmp_path):
    for size, kept in ((2_000_000, True), (MAX_BYTES + 1, False)):
        (tmp_path / "a.png").write_bytes(rgb_png(packed_text(b"zTXt", size)))
        write_photo(tmp_path / "b.png", read_photo(tmp_path / "a.png"))
        with Image.open(tmp_path / "b.png") as image:
            assert image.info.get("key") == ("A" * size if kept else None)


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("noise", [0, 0xFF00])  # bits of the key beyond those of the pixels do not count
def test_transparent_grey_of_few_bits_is_scaled_as_the_pixels_are(tmp_path, bits, noise):
    highest, key = 2**bits - 1, 1
    grey = photo()[..., 0] >> (8 - bits)
    per_byte = 8 // bits
    padded = np.pad(grey, ((0, 0), (0, -WIDTH % per_byte))).reshape(HEIGHT, -1, per_byte)
    packed = sum(padded[..., i] << (8 - bits * (i + 1)) for i in range(per_byte)).astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    (tmp_path / "a.png").write_bytes(png(WIDTH, HEIGHT, bits, 0, rows, [(b"tRNS", struct.pack(">H", key | noise))]))
    read = read_photo(tmp_path / "a.png").pixels
    assert np.array_equal(read[..., 0], grey * (255 // highest))
    assert np.array_equal(read[..., 1], np.where(grey == key, 0, 255))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 2}])
@pytest.mark.parametrize("cut", [1, 2])
def test_a_jpeg_is_read_if_its_end_marker_alone_is_missing(tmp_path, capsys, options, cut):
    Image.fromarray(photo()).save(tmp_path / "a.jpg", **options)
    data, expected = (tmp_path / "a.jpg").read_bytes(), read_photo(tmp_path / "a.jpg").pixels
    (tmp_path / "a.jpg").write_bytes(data[:-cut])
    assert np.array_equal(read_photo(tmp_path / "a.jpg").pixels, expected)
    assert "its end marker is missing" in capsys.readouterr().err
    starts = [i for i in range(len(data)) if data[i:i + 2] == b"\xff\xda"]
    for end in (starts[-1], len(data) - 30):  # without the last scan, which refines the others, or its end
        (tmp_path / "a.jpg").write_bytes(data[:end])
        with pytest.raises(UserError, match="truncated"):
            read_photo(tmp_path / "a.jpg")


def test_a_webp_is_read_whatever_stands_behind_its_pixels_and_whatever_its_size_says(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(photo()).save(buffer, "WEBP", lossless=True, exif=exif(1), xmp=b"<x:xmpmeta/>" * 9)
    data = buffer.getvalue()
    for odd in (data[:4] + struct.pack("<I", len(data) + 100) + data[8:], data[:-60], data + b"more"):
        (tmp_path / "a.webp").write_bytes(odd)
        assert np.array_equal(read_photo(tmp_path / "a.webp").pixels, photo())


def test_an_avif_with_damaged_exif_is_read(tmp_path):
    tags = Image.Exif()
    tags[306] = "2019:05:04 10:11:12"
    Image.fromarray(photo()).save(tmp_path / "a.avif", exif=tags)
    data = (tmp_path / "a.avif").read_bytes()
    start = tags.tobytes()[6:14]
    assert start in data
    (tmp_path / "a.avif").write_bytes(data.replace(start, b"XX" + start[2:]))
    assert read_photo(tmp_path / "a.avif").pixels.shape == photo().shape


def big_tiff(image, order):
    """Returns a BigTIFF of an array (H, W, 3)."""
    image = image.astype(image.dtype.newbyteorder(order))
    values = {256: WIDTH, 257: HEIGHT, 258: None, 259: 1, 262: 2, 273: 16, 277: 3, 278: HEIGHT, 279: image.nbytes}
    entries = b""
    for tag, value in values.items():
        bits = struct.pack(f"{order}3H2x", *[8 * image.itemsize] * 3)
        entries += (struct.pack(f"{order}HHQ", tag, 3, 3) + bits if value is None else
                    struct.pack(f"{order}HHQI4x", tag, 4, 1, value))
    header = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HHHQ", 43, 8, 0, 16 + image.nbytes)
    return header + image.tobytes() + struct.pack(f"{order}Q", len(values)) + entries + bytes(8)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_big_tiff_is_read_in_both_byte_orders(tmp_path, order, dtype):
    (tmp_path / "a.tif").write_bytes(big_tiff(pixels(3, dtype), order))
    assert np.array_equal(read_photo(tmp_path / "a.tif").pixels, pixels(3, dtype))


@pytest.mark.parametrize("compression", ["zstd", "lzma"])
@pytest.mark.parametrize(("mode", "channels", "dtype"), [("L", 1, np.uint8), ("RGB", 3, np.uint8),
                                                         ("RGBA", 4, np.uint8), ("I;16", 1, np.uint16)])
def test_a_tiff_packed_by_zstd_or_lzma_is_read(tmp_path, compression, mode, channels, dtype):
    image = pixels(channels, dtype)
    Image.fromarray(image).save(tmp_path / "a.tif", compression=compression, icc_profile=profile("grey"))
    read = read_photo(tmp_path / "a.tif")
    assert read.pixels.dtype == dtype
    assert np.array_equal(read.pixels, image)
    assert (read.icc_profile is not None) == (channels == 1)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pillow_reads_tiffs_of_16_bits_in_full(tmp_path, monkeypatch, channels):
    write_photo(tmp_path / "a.tif", Photo(pixels(channels, np.uint16)))
    monkeypatch.setattr(tiff, "BY_PILLOW", {8})  # deflate, in place of compressions that libvips cannot write
    assert np.array_equal(read_photo(tmp_path / "a.tif").pixels, pixels(channels, np.uint16))


@pytest.mark.slow
def test_no_entry_of_a_directory_makes_reading_costly(tmp_path):
    """Entries that claim the whole file as their value."""
    write_photo(tmp_path / "a.tif", Photo(make_photo(60, 50)))
    data = (tmp_path / "a.tif").read_bytes()
    start = struct.unpack("<I", data[4:8])[0]
    count = struct.unpack("<H", data[start:start + 2])[0]
    entries = data[start + 2:start + 2 + 12 * count]
    more = b"".join(struct.pack("<HHII", tag, 7, len(data), 0) for tag in range(40000, 44000))
    data += struct.pack("<H", count + 4000) + entries + more + bytes(4)
    (tmp_path / "a.tif").write_bytes(data[:4] + struct.pack("<I", len(data) - 12 * (count + 4000) - 6) + data[8:])
    assert read_photo(tmp_path / "a.tif").pixels.shape == (60, 50, 3)
