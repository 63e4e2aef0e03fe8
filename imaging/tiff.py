"""TIFF, whose pixels libvips decodes: it knows more kinds of them than Pillow, and prints no errors."""

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from imaging import colour, vips
from imaging.limits import Unsupported, check_frames, check_samples, check_size
from imaging.tags import ORIENTATION, RESOLUTION_UNIT, X_RESOLUTION, Y_RESOLUTION

SUBFILE_TYPE, BITS, COMPRESSION, PHOTOMETRIC, NUM_SAMPLES = 254, 258, 259, 262, 277  # tags
EXTRA_SAMPLES, SAMPLE_FORMAT, SUBSAMPLING, ICC_PROFILE = 338, 339, 530, 34675
REDUCED = 1  # bit of the subfile type: a smaller version of another page
JPEG, CMYK, YCBCR, CIELAB = 7, 5, 6, 8  # a compression, and photometric interpretations
ALPHA = (1, 2)  # kinds of extra samples: premultiplied, which libvips undoes, and not
CHANNELS = {"b-w": 1, "grey16": 1, "srgb": 3, "rgb16": 3, "cmyk": 4}  # colours of libvips' interpretations
NUMBERS = {1: "unsigned integers", 2: "signed integers", 3: "floating-point numbers"}  # sample formats
BYTES = {"uchar": 1, "char": 1, "ushort": 2, "short": 2, "uint": 4, "int": 4, "float": 4}  # of libvips' numbers
USED = (SUBFILE_TYPE, BITS, COMPRESSION, PHOTOMETRIC, NUM_SAMPLES, EXTRA_SAMPLES, SAMPLE_FORMAT, SUBSAMPLING,
        ICC_PROFILE, ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT)  # tags
MAX_PAGES = 1000  # each may repeat the tags of a whole large file
BIG_TIFF = 2**32 - 2**26  # bytes of pixels: deflate may add a little, and plain TIFF ends at 4 GiB


def read(file, start, form):
    """Reads the one page of a TIFF file, as `imaging.pillow.read` does; smaller versions of it, such as thumbnails, are
    left out.
    """
    directories = _directories(file)
    pages = [i for i, tags in enumerate(directories) if not tags.get(SUBFILE_TYPE, 0) & REDUCED] or [0]
    check_frames(len(pages), "pages")
    tags = directories[pages[0]]
    _check_kind(tags)
    if tags.get(PHOTOMETRIC) == CIELAB:
        return _read_lab(file), tags | {ORIENTATION: 1}, None, None
    with vips.errors():
        image = vips.open_file(f"{form.vips}load", file.name, page=pages[0])
        check_size(image.width, image.height)
        check_samples(image.width, image.height, image.bands * BYTES.get(image.format, 8))
        pixels = _colours(vips.to_array(image), image.interpretation, tags)
    return pixels, tags, None if tags.get(PHOTOMETRIC) == CMYK else tags.get(ICC_PROFILE), None


def save(path, image, form):
    """Writes an image of libvips, above 4 GiB as a BigTIFF."""
    size = image.width * image.height * image.bands * (1 if image.format == "uchar" else 2)
    vips.save(path, image, form, bigtiff=size > BIG_TIFF)


def _directories(file):
    """Returns the tags of each page that are used here, as dicts."""
    start = file.read(8)
    if b"+" in start[2:4]:
        start += file.read(8)  # BigTIFF
    offset, found = ImageFileDirectory_v2(start).next, {}
    while offset and offset not in found:  # the pages of a damaged file may go round in a circle
        directory = ImageFileDirectory_v2(start)
        file.seek(offset)
        directory.load(file)
        found[offset] = {tag: directory[tag] for tag in USED if tag in directory}
        offset = directory.next
        if len(found) > MAX_PAGES:
            raise Unsupported(f"it has more than {MAX_PAGES:,} pages, and only still images are read")
    if not found:
        raise Unsupported("it has no pages")
    return list(found.values())


def _check_kind(tags):
    bits, numbers = tags.get(BITS, (1,))[0], NUMBERS.get(tags.get(SAMPLE_FORMAT, (1,))[0], "of an unknown kind")
    is_lab = tags.get(PHOTOMETRIC) == CIELAB
    allowed = {"unsigned integers": (8,) if is_lab else (1, 2, 4, 8, 16, 32), "signed integers": (16, 32)}
    if bits not in allowed.get(numbers, ()) or (is_lab and tags.get(NUM_SAMPLES) != 3):
        raise Unsupported(f"its pixels are {numbers} of {bits} bits{' in CIELAB' if is_lab else ''}, which is not "
                         "supported: save it with 8 or 16 bits, as grey or RGB")
    if _is_plain_ycbcr(tags) and tuple(tags.get(SUBSAMPLING, (2, 2))) != (1, 1):
        raise Unsupported("its YCbCr colours are subsampled without JPEG compression, which is not supported: "
                         "save it as RGB")


def _is_plain_ycbcr(tags):
    return tags.get(PHOTOMETRIC) == YCBCR and tags.get(COMPRESSION) != JPEG


def _colours(pixels, interpretation, tags):
    """Returns what libvips has read as grey or RGB, with alpha where the file says so, with 8 or 16 bits."""
    if pixels.dtype not in (np.uint8, np.uint16):
        pixels = colour.whole_numbers(pixels)
    if pixels.ndim == 2:
        return pixels
    if interpretation not in CHANNELS:
        raise Unsupported(f"its colours are {interpretation}, which is not supported: save it as grey or RGB")
    channels = CHANNELS[interpretation]
    has_alpha = pixels.shape[2] > channels and tags.get(EXTRA_SAMPLES, (0,))[0] in ALPHA
    _check_rest(pixels, channels + has_alpha)
    if interpretation == "cmyk" or _is_plain_ycbcr(tags):
        pixels = colour.to_8_bits(pixels)
        mode, stored = "CMYK" if interpretation == "cmyk" else "YCbCr", pixels[..., :channels].tobytes()
        image = Image.frombytes(mode, pixels.shape[1::-1], stored)
        rgb = colour.to_srgb(image, tags.get(ICC_PROFILE)) if mode == "CMYK" else image.convert("RGB")
        return np.dstack([rgb, pixels[..., channels]]) if has_alpha else np.asarray(rgb)
    pixels = pixels[..., :channels + has_alpha]
    return pixels if pixels.shape[2] > 1 else pixels[..., 0]


def _check_rest(pixels, num_known):
    """Raises `Unsupported` if there are bands beside the colours and alpha, unless they are padding of one value."""
    rest = pixels[..., num_known:]
    if rest.size and (rest != rest[0, 0]).any():
        raise Unsupported(f"it has {pixels.shape[2]} bands, of which its colours, and alpha where it says so, take "
                          f"{num_known}: save those that are to be seen as grey or RGB")


def _read_lab(file):
    """Reads CIELAB pixels, which libvips does not read, as sRGB; Pillow turns them upright."""
    file.seek(0)
    with TiffImageFile(file) as image:
        check_size(*image.size)
        image.load()
        return np.asarray(colour.to_srgb(image))
