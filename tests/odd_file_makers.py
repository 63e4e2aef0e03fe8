"""Makers of image files of odd kinds: each takes the path of the file to be made.

The image in them is `photo()`, unless it is said otherwise.
"""

import functools
import io
import os
import socket
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from imaging import vips
from tests.conftest import make_photo

HEIGHT, WIDTH = 18, 26
ORIENTATION = 274


def photo():
    """Returns the image in the files, (HEIGHT, WIDTH, 3) uint8."""
    return make_photo(HEIGHT, WIDTH)


def alpha():
    """Returns an alpha channel, (HEIGHT, WIDTH) uint8."""
    return np.linspace(0, 255, HEIGHT * WIDTH).astype(np.uint8).reshape(HEIGHT, WIDTH)


def pixels(channels, dtype=np.uint8):
    """Returns the image with 1 (H, W) to 4 channels, as uint8 or uint16, whose low bytes differ from the high ones."""
    rgb = photo()
    image = {1: rgb[..., 0], 2: np.dstack([rgb[..., 0], alpha()]), 3: rgb, 4: np.dstack([rgb, alpha()])}[channels]
    return image if dtype == np.uint8 else image.astype(np.uint16) * 256 + 255 - image


def exif(orientation):
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags


def turned(image, orientation):
    """Returns the pixels as they are stored with this EXIF orientation (row 0 is at the top, right, bottom or left)."""
    if orientation > 4:
        image = image.swapaxes(0, 1)
    # 1 to 4: which of the two axes of the upright image run backwards; 5 to 8: the same, of the swapped ones
    rows, columns = {1: (1, 1), 2: (1, -1), 3: (-1, -1), 4: (-1, 1), 5: (1, 1), 6: (-1, 1), 7: (-1, -1), 8: (1, -1)}[
        orientation]
    return np.ascontiguousarray(image[::rows, ::columns])


@functools.cache
def profile(space="sRGB"):
    """Returns a colour profile: 'sRGB', 'cmyk' or 'grey'."""
    if space == "sRGB":
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    if space == "cmyk":
        return bytes(vips.load().Operation.call("profile_load", "cmyk"))
    rgb = bytearray(profile())  # a grey profile is a white point and one curve, which stand in the sRGB profile
    tags = {bytes(rgb[i:i + 4]): bytes(rgb[i + 4:i + 12]) for i in range(132, 132 + 12 * rgb[131], 12)}
    kept = {b"wtpt": tags[b"wtpt"], b"kTRC": tags[b"rTRC"], b"desc": tags[b"desc"], b"cprt": tags[b"cprt"]}
    rgb[16:20] = b"GRAY"
    rgb[131] = len(kept)
    rgb[132:132 + 12 * len(kept)] = b"".join(name + place for name, place in kept.items())
    return bytes(rgb)


def by_pillow(image, mode=None, format=None, **options):
    """Returns a maker: saves an array as PIL does, in the mode `mode`."""
    def make(path):
        picture = Image.fromarray(image)
        picture = picture.convert(mode) if mode else picture
        picture.save(path, format, **options)
    return make


def by_libvips(image, interpretation=None, cast=None, orientation=None, icc_profile=None, **options):
    """Returns a maker: saves an array as libvips does, which knows 16 bits."""
    def make(path):
        pyvips = vips.load()
        picture = pyvips.Image.new_from_array(image)
        if interpretation:
            picture = picture.copy(interpretation=interpretation)
        picture = picture.cast(cast) if cast else picture.copy()
        if orientation:
            picture.set_type(pyvips.GValue.gint_type, "orientation", orientation)
        if icc_profile:
            picture.set_type(pyvips.GValue.blob_type, "icc-profile-data", icc_profile)
        save = {".png": picture.pngsave, ".avif": picture.heifsave}.get(path.suffix.lower(), picture.tiffsave)
        save(str(path), **options)
    return make


def cut(make, part):
    """Returns a maker of the first `part` of a file."""
    def make_cut(path):
        make(path)
        content = path.read_bytes()
        path.write_bytes(content[:int(len(content) * part)])
    return make_cut


def replaced(make, *replacements):
    """Returns a maker of a file in which bytes are replaced by others."""
    def make_replaced(path):
        make(path)
        content = path.read_bytes()
        for old, new in replacements:
            assert old in content
            content = content.replace(old, new)
        path.write_bytes(content)
    return make_replaced


def content(data):
    """Returns a maker of a file with this content."""
    return lambda path: path.write_bytes(data)


def png(width, height, depth, colour_type, rows=b"", before=(), after=()):
    """Returns a PNG file of chunks: `before` and `after` the pixels, pairs of name and content."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", header), *before, (b"IDAT", zlib.compress(rows)), *after, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks)


def png16(image, **chunks):
    """Returns a 16-bit PNG of an array, or of the image with so many channels, with more chunks."""
    image = pixels(image, np.uint16) if isinstance(image, int) else image
    height, width, channels = (*image.shape, 1)[:3]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in image)
    return png(width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], rows, **chunks)


def bmp(bits, compression, palette, data):
    """Returns a BMP file of WIDTH x HEIGHT pixels."""
    offset = 54 + len(palette)
    return struct.pack("<2sIHHI", b"BM", offset + len(data), 0, 0, offset) + struct.pack(
        "<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, bits, compression, len(data), 2835, 2835, len(palette) // 4, 0
    ) + palette + data


def rle_bmp():
    """Returns an 8-bit BMP whose rows are runs of one grey each."""
    palette = b"".join(bytes([i, i, i, 0]) for i in range(256))
    return bmp(8, 1, palette, b"".join(bytes([WIDTH, row, 0, 0]) for row in range(HEIGHT)) + b"\0\1")


def in_cmyk(icc_profile=None):
    """Returns the image as CMYK, (HEIGHT, WIDTH, 4) uint8: by a colour profile, or by the plain formula."""
    image = Image.fromarray(photo())
    if not icc_profile:
        return np.asarray(image.convert("CMYK"))
    cmyk = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
    return np.asarray(ImageCms.profileToProfile(image, ImageCms.createProfile("sRGB"), cmyk, 1, "CMYK"))


def cmyk_jpeg(adobe=True, image=None, icc_profile=None):
    """Returns a maker of a CMYK JPEG: with Adobe's marker stored inverted, without it as it is."""
    def make(path):
        stored = in_cmyk() if image is None else image
        if not adobe:
            stored = 255 - stored  # since PIL inverts
        Image.frombytes("CMYK", (WIDTH, HEIGHT), stored.tobytes()).save(
            path, "JPEG", quality=95, icc_profile=icc_profile)
        if not adobe:
            data = path.read_bytes()
            start = data.index(b"\xff\xee\x00\x0eAdobe")
            path.write_bytes(data[:start] + data[start + 16:])
    return make


def lab_tiff(path):
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    ImageCms.applyTransform(Image.fromarray(photo()), to_lab).save(path)


def several(format, count=3, **options):
    """Returns a maker of a file with `count` frames or pages."""
    def make(path):
        frames = [Image.fromarray(make_photo(HEIGHT, WIDTH, seed)) for seed in range(count)]
        frames[0].save(path, format, save_all=True, append_images=frames[1:], **options)
    return make


def tiff_with_thumbnail(path):
    """A second page that says that it is a reduced version of another (tag 254)."""
    tags = ImageFileDirectory_v2()
    tags[254] = 1
    thumbnail = Image.fromarray(photo()[::2, ::2])
    thumbnail.encoderinfo = {"tiffinfo": tags}
    Image.fromarray(photo()).save(path, save_all=True, append_images=[thumbnail])


def tiff16(channels, endian="<", planar=False, float32=False):
    """Returns an uncompressed TIFF of the image with 16 bits, whose samples are interleaved or in planes."""
    image = pixels(channels, np.uint16).reshape(HEIGHT, WIDTH, channels)
    image = image.astype(f"{endian}f4" if float32 else f"{endian}u2")
    planes = [image[..., i] for i in range(channels)] if planar else [image]
    data = b"".join(plane.tobytes() for plane in planes)
    shorts = {256: [WIDTH], 257: [HEIGHT], 258: [8 * image.itemsize] * channels, 259: [1], 262: [1 + (channels == 3)],
              277: [channels], 278: [HEIGHT], 284: [1 + planar], 339: [1 + 2 * float32] * channels}
    longs = {273: [8 + i * len(data) // len(planes) for i in range(len(planes))],
             279: [len(data) // len(planes)] * len(planes)}
    directory, more = b"", b""
    end = 8 + len(data) + 2 + 12 * (len(shorts) + len(longs)) + 4
    for tag in sorted(shorts | longs):
        kind, code, values = (3, "H", shorts[tag]) if tag in shorts else (4, "I", longs[tag])
        value = struct.pack(f"{endian}{len(values)}{code}", *values)
        if len(value) > 4:
            value, more = struct.pack(f"{endian}I", end + len(more)), more + value
        directory += struct.pack(f"{endian}HHI", tag, kind, len(values)) + value.ljust(4, b"\0")
    start = {"<": b"II", ">": b"MM"}[endian] + struct.pack(f"{endian}HI", 42, 8 + len(data))
    return start + data + struct.pack(f"{endian}H", len(shorts) + len(longs)) + directory + bytes(4) + more


def not_alpha(bands, kind=0, dtype=np.uint8):
    """Returns a maker of a TIFF of so many bands; those behind grey or RGB are of this kind of ExtraSamples."""
    def make(path):
        bits = 8 * np.dtype(dtype).itemsize
        image = np.stack([pixels(1, dtype) // (1 + i) for i in range(bands)], -1)
        num_colours = 1 if bands < 3 else 3
        data, tags, more = image.tobytes(), [], b""
        known = {256: (4, [WIDTH]), 257: (4, [HEIGHT]), 258: (3, [bits] * bands), 259: (3, [1]),
                 262: (3, [2 if num_colours == 3 else 1]), 273: (4, [8]), 277: (3, [bands]), 278: (4, [HEIGHT]),
                 279: (4, [len(data)])}
        if kind is not None:
            known[338] = 3, [kind] * (bands - num_colours)
        end = 8 + len(data) + 2 + 12 * len(known) + 4
        for tag, (code, values) in known.items():
            value = struct.pack(f"<{len(values)}{'H' if code == 3 else 'I'}", *values)
            if len(value) > 4:
                value, more = struct.pack("<I", end + len(more)), more + value
            tags.append(struct.pack("<HHI", tag, code, len(values)) + value.ljust(4, b"\0"))
        path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags))
                         + b"".join(tags) + bytes(4) + more)
    return make


def mpo(path):
    """A JPEG with a second picture behind the first, as some cameras write."""
    frames = [Image.fromarray(make_photo(HEIGHT, WIDTH, seed)) for seed in range(2)]
    frames[0].save(path, "MPO", save_all=True, append_images=frames[1:], quality=95)


def jpeg_bytes(**options):
    buffer = io.BytesIO()
    Image.fromarray(photo()).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def damaged(make):
    """Returns a maker of a file with zeros in its middle."""
    def make_damaged(path):
        make(path)
        content = bytearray(path.read_bytes())
        middle = len(content) // 2
        content[middle:middle + 200] = bytes(200)
        path.write_bytes(content)
    return make_damaged


def huge_webp(path):
    """A WebP without pixels whose header says that it is 16000 x 16000 pixels."""
    size = struct.pack("<BI", 0x2F, 15_999 | 15_999 << 14)
    path.write_bytes(b"RIFF" + struct.pack("<I", 34) + b"WEBPVP8L" + struct.pack("<I", 22) + size + bytes(17))


def short_of_pixels(make):
    """Returns a maker of a sound PNG file whose pixels end in the middle."""
    def make_short(path):
        make(path)
        data, packed, chunks = path.read_bytes(), b"", []
        while data[8:]:
            size, name = struct.unpack(">I4s", data[8:16])
            chunks.append((name, data[16:16 + size]))
            data = data[:8] + data[20 + size:]
        packed = b"".join(content for name, content in chunks if name == b"IDAT")
        rows = zlib.decompress(packed)
        chunks = [chunks[0], (b"IDAT", zlib.compress(rows[:len(rows) // 2])), (b"IEND", b"")]
        path.write_bytes(data + b"".join(struct.pack(">I", len(content)) + name + content
                                         + struct.pack(">I", zlib.crc32(name + content)) for name, content in chunks))
    return make_short


def spliced(make, first, last=None):
    """Returns a maker of a JPEG file without the part from `first` to `last` (the end marker), shares of its length."""
    def make_spliced(path):
        make(path)
        content = path.read_bytes()
        end = len(content) - 2 if last is None else int(last * len(content))
        path.write_bytes(content[:int(first * len(content))] + content[end:])
    return make_spliced


def jpeg_says(width, height):
    """Returns a maker of a small JPEG whose header says that it is so large."""
    def make(path):
        content = bytearray(jpeg_bytes())
        start = content.index(b"\xff\xc0") + 5
        content[start:start + 4] = struct.pack(">HH", height, width)
        path.write_bytes(content)
    return make


def jpeg_of_scans(count):
    """Returns a maker of a progressive JPEG of 16 megapixels, whose last scan is repeated so often."""
    def make(path):
        Image.new("L", (4000, 4000), 128).save(path, "JPEG", progressive=True)
        content = path.read_bytes()
        path.write_bytes(content[:-2] + content[content.rindex(b"\xff\xda"):-2] * count + content[-2:])
    return make


def padded_jpeg(path):
    """Some cameras leave bytes between the segments of the header."""
    content = jpeg_bytes(quality=95)
    start = content.index(b"\xff\xdb")
    path.write_bytes(content[:start] + bytes(9) + content[start:])


def tiff_of_pages(count):
    """Returns a maker of a TIFF with many pages, each of which says that it is a thumbnail."""
    def make(path):
        page = struct.pack("<HHHII", 1, 254, 4, 1, 1)
        path.write_bytes(b"II*\0\x08\0\0\0" + b"".join(
            page + struct.pack("<I", 8 + 18 * (i + 1)) for i in range(count)) + bytes(6))
    return make


def sparse(size):
    """Returns a maker of a PNG file of so many bytes, most of which take no place on the disk."""
    def make(path):
        path.write_bytes(png(9, 9, 8, 2))
        os.truncate(path, size)
    return make


def unix_socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        folder = os.getcwd()
        os.chdir(path.parent)  # a socket's path ends at 107 bytes
        server.bind(path.name)
        os.chdir(folder)


def avif(image, interpretation=None, **options):
    """Returns a maker of a lossless AVIF."""
    return by_libvips(image, interpretation, compression="av1", lossless=True, effort=0, **options)


def avif_says(width, height):
    """Returns a maker of a small AVIF whose header says that it is so large."""
    return replaced(avif(photo()), (b"ispe" + struct.pack(">III", 0, WIDTH, HEIGHT),
                                    b"ispe" + struct.pack(">III", 0, width, height)))


def circle_tiff(path):
    """A TIFF whose page says that it is also the next one."""
    content = tiff16(3)
    start = struct.unpack("<I", content[4:8])[0]
    end = start + 2 + 12 * struct.unpack("<H", content[start:start + 2])[0]
    path.write_bytes(content[:end] + struct.pack("<I", start) + content[end + 4:])


def spoilt_chunk(data, name=None):
    """Returns a PNG file with a wrong checksum of its chunk `name`, or of the one behind the header."""
    start = data.index(name) - 4 if name else 33
    end = start + 12 + struct.unpack(">I", data[start:start + 4])[0]
    return data[:end - 4] + struct.pack(">I", 12345) + data[end:]
