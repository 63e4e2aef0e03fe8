"""Photos that people have: sound pixels with odd things beside them, and what a viewer shows of each."""

import functools
import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms

import weights
from imaging.encodings import D65, SRGB
from imaging.profiles import matrix_profile
from model import edsr
from tests.conftest import make_photo
from tests.odd_file_makers import by_pillow, content, png, profile, spoilt_chunk

HEIGHT, WIDTH = 32, 48
ADOBE_RGB = (*D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
SWAPPED = matrix_profile("red and green swapped", (*D65, *SRGB[2:4], *SRGB[:2], *SRGB[4:]))


@functools.cache
def scene():
    """Returns the stored pixels, (HEIGHT, WIDTH, 3) uint8: hues in all lightnesses, without noise for JPEG."""
    return make_photo(HEIGHT, WIDTH, seed=5)


def save_repeating_network(path, scale=2):
    """Writes a model that repeats each pixel `scale` times in both directions, so that outputs show inputs."""
    network = edsr(scale, num_filters=3, num_res_blocks=1)
    for layer in network.layers:
        if layer.weights:
            kernel, bias = (np.zeros(weight.shape) for weight in layer.weights)
            if layer.name in ("head", "upsample_1", "tail"):
                kernel[1, 1] = np.tile(np.eye(3), kernel.shape[3] // 3)
            layer.set_weights([kernel, bias])
    weights.save(network, path)
    return path


def by_profile(image, icc_profile):
    """Returns an array (H, W, 3) or (H, W) as sRGB, by LittleCMS."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
    return np.asarray(ImageCms.profileToProfile(Image.fromarray(image), source, ImageCms.createProfile("sRGB"), 1,
                                                "RGB"))


def by_gamma(image, gamma):
    """Returns an array whose values mean light by this exponent, as sRGB."""
    light = (image / 255) ** gamma
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255


def shown(path):
    """Returns what a viewer that knows profiles shows of a file, (H, W, 3)."""
    with Image.open(path) as image:
        array = np.asarray(image.convert("RGB") if image.mode not in ("L", "RGB") else image)
        icc_profile = image.info.get("icc_profile")
    array = by_profile(array, icc_profile) if icc_profile else array
    return array if array.ndim == 3 else np.dstack([array] * 3)


def chunks(*before):
    """Returns a PNG file of the scene with more chunks."""
    return png(WIDTH, HEIGHT, 8, 2, b"".join(b"\0" + row.tobytes() for row in scene()), before)


def jpeg_without(count):
    """Returns a maker of a JPEG without its last bytes, of which the end marker has two."""
    def make(path):
        by_pillow(scene(), quality=95, subsampling=0)(path)
        path.write_bytes(path.read_bytes()[:-count])
    return make


def adobe_jpeg(path):
    """A photo of a camera that is set to Adobe RGB: EXIF says so, by the tags of DCF."""
    tags = Image.Exif()
    tags.get_ifd(34665)[40961] = 65535
    tags.get_ifd(34665)[40965] = {1: "R03", 2: b"0100"}
    Image.fromarray(scene()).save(path, quality=95, subsampling=0, exif=tags)


def big_endian_big_tiff(path):
    """A BigTIFF as GIS programs write it."""
    rgb = scene()
    values = {256: WIDTH, 257: HEIGHT, 258: None, 259: 1, 262: 2, 273: 16, 277: 3, 278: HEIGHT, 279: rgb.nbytes}
    entries = b"".join(struct.pack(">HHQ3H2x", tag, 3, 3, 8, 8, 8) if value is None else
                       struct.pack(">HHQI4x", tag, 4, 1, value) for tag, value in values.items())
    header = b"MM" + struct.pack(">HHHQ", 43, 8, 0, 16 + rgb.nbytes)
    path.write_bytes(header + rgb.tobytes() + struct.pack(">Q", len(values)) + entries + bytes(8))


def grey_of_4_bits():
    """Returns grey, (HEIGHT, WIDTH) uint8 from 0 to 15."""
    return scene()[..., 0] >> 4


def transparent_grey(path):
    """Grey of 4 bits whose lightest value is transparent."""
    grey = grey_of_4_bits()
    packed = grey[:, ::2] << 4 | grey[:, 1::2]
    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    path.write_bytes(png(WIDTH, HEIGHT, 4, 0, rows, [(b"tRNS", struct.pack(">H", grey.max()))]))


def large_profile():
    """A sound profile with a large private part at its end."""
    data = SWAPPED + np.random.default_rng(0).bytes(1_200_000)
    return struct.pack(">I", len(data)) + data[4:]


def photos():
    """Returns a dict from the name of each file to its maker and the pixels that are shown of it, sRGB."""
    rgb, grey = scene(), scene()[..., 0]
    xmp = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"<rdf:li>layer history</rdf:li>" * 45_000)
    dots = (b"pHYs", struct.pack(">IIB", 11811, 11811, 1))
    pngs = {
        "linear.png": (chunks((b"gAMA", struct.pack(">I", 100_000))), by_gamma(rgb, 1)),
        "mac.png": (chunks((b"gAMA", struct.pack(">I", 68_966))), by_gamma(rgb, 1 / 0.68966)),
        "large-profile.png": (chunks((b"iCCP", b"x\0\0" + zlib.compress(large_profile()))), by_profile(rgb, SWAPPED)),
        "large-xmp.png": (chunks((b"iTXt", xmp)), rgb),
        "text-checksum.png": (spoilt_chunk(chunks((b"tEXt", b"Comment\0hello"))), rgb),
        "dots-checksum.png": (spoilt_chunk(chunks(dots)), rgb),
        "short-dots.png": (chunks((b"pHYs", b"\0\0\1")), rgb),
        "profile-without-name.png": (chunks((b"iCCP", b"noNul")), rgb),
    }
    return {
        **{name: (content(data), expected) for name, (data, expected) in pngs.items()},
        "camera.jpg": (adobe_jpeg, by_profile(rgb, matrix_profile("Adobe RGB", ADOBE_RGB, 563 / 256))),
        "no-end.jpg": (jpeg_without(2), rgb),
        "half-an-end.jpg": (jpeg_without(1), rgb),
        "big-endian.tif": (big_endian_big_tiff, rgb),
        "zstd.tif": (by_pillow(rgb, compression="zstd"), rgb),
        "lzma.tif": (by_pillow(rgb, compression="lzma"), rgb),
        "grey.png": (by_pillow(grey, icc_profile=profile("grey")), by_profile(grey, profile("grey"))),
        "swapped.png": (by_pillow(rgb, icc_profile=SWAPPED), by_profile(rgb, SWAPPED)),
        "transparent.png": (transparent_grey, None),
    }
