"""TIFF, whose pixels libvips decodes: it knows more kinds of them than Pillow, and prints no errors."""

import mmap
import struct

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from imaging import colour, directories, vips
from imaging.content import Content
from imaging.limits import Unsupported, check_frames, check_samples, check_size
from imaging.metadata import Metadata
from imaging.tags import ORIENTATION, RESOLUTION_UNIT, TOLD, X_RESOLUTION, Y_RESOLUTION

SUBFILE_TYPE, BITS, COMPRESSION, PHOTOMETRIC, NUM_SAMPLES = 254, 258, 259, 262, 277  # tags
EXTRA_SAMPLES, SAMPLE_FORMAT, SUBSAMPLING, ICC_PROFILE = 338, 339, 530, 34675
REDUCED = 1  # bit of the subfile type: a smaller version of another page
JPEG, CMYK, YCBCR, CIELAB = 7, 5, 6, 8  # a compression, and photometric interpretations
ALPHA = (1, 2)  # kinds of extra samples: premultiplied, which libvips undoes, and not
CHANNELS = {"b-w": 1, "grey16": 1, "srgb": 3, "rgb16": 3, "cmyk": 4}  # colours of libvips' interpretations
NUMBERS = {1: "unsigned integers", 2: "signed integers", 3: "floating-point numbers"}  # sample formats
BYTES = {"uchar": 1, "char": 1, "ushort": 2, "short": 2, "uint": 4, "int": 4, "float": 4}  # of libvips' numbers
# Tags that are used here: of one value, and of several.
SINGLE = (SUBFILE_TYPE, COMPRESSION, PHOTOMETRIC, NUM_SAMPLES, ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT)
SEVERAL = (BITS, EXTRA_SAMPLES, SAMPLE_FORMAT, SUBSAMPLING)
MAX_COUNT = 1 << 16  # of values
XMP = 700
BY_PILLOW = {50000, 34925}  # ZSTD and LZMA, which libvips may lack
MAX_PAGES = 1000  # each may repeat the tags of a whole large file
BIG_TIFF = 2**32 - 2**26  # bytes of pixels: deflate may add a little, and plain TIFF ends at 4 GiB


def read(file, start, form):
    """Reads the one page of a TIFF file, as `imaging.pillow.read` does; smaller versions of it, such as thumbnails, are
    left out.
    """
    found = _directories(file)
    pages = [i for i, (tags, _) in enumerate(found) if not tags.get(SUBFILE_TYPE, 0) & REDUCED] or [0]
    check_frames(len(pages), "pages")
    tags, metadata = found[pages[0]]
    _check_kind(tags)
    if tags.get(PHOTOMETRIC) == CIELAB:
        return Content(_read_lab(file), None, None, metadata, tags | {ORIENTATION: 1})
    icc_profile = None if tags.get(PHOTOMETRIC) == CMYK else tags.get(ICC_PROFILE)
    if tags.get(COMPRESSION) in BY_PILLOW:
        return Content(_read_by_pillow(file, tags), icc_profile, None, metadata, tags | {ORIENTATION: 1})
    with vips.errors():
        image = vips.open_file(f"{form.vips}load", file.name, page=pages[0])
        check_size(image.width, image.height)
        check_samples(image.width, image.height, image.bands * BYTES.get(image.format, 8))
        pixels = _colours(vips.to_array(image), image.interpretation, tags)
    return Content(pixels, icc_profile, None, metadata, tags)


def save(path, image, form, metadata, is_lossless):
    """Writes an image of libvips with its `Metadata`, as `imaging.png.save` does, above 4 GiB as a BigTIFF."""
    size = image.width * image.height * image.bands * (1 if image.format == "uchar" else 2)
    vips.save(path, image, form, bigtiff=size > BIG_TIFF)
    entries = _told(metadata.exif, metadata.xmp)
    if entries:
        _add(path, entries)


def block_of(exif, xmp):
    """Returns a block of EXIF with the tags that a TIFF file tells of itself, of EXIF and XMP, which may be empty."""
    return directories.EMPTY + directories.pack(_told(exif, xmp), len(directories.EMPTY))


def _directories(file):
    """Returns for each page the tags that are used here, as a dict, and the `Metadata`."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        header, found = directories.read_header(data), {}
        offset = header.first
        while offset and offset not in found:  # the pages of a damaged file may go round in a circle
            directory = directories.read_directory(data, header, offset)
            found[offset] = _used(data, header, directory), _metadata(data, header, directory)
            offset = directories.next_offset(data, header, directory)
            if len(found) > MAX_PAGES:
                raise Unsupported(f"it has more than {MAX_PAGES:,} pages, and only still images are read")
    if not found:
        raise Unsupported("it has no pages")
    return list(found.values())


def _used(data, header, directory):
    tags = {}
    for tag in (*SINGLE, *SEVERAL, ICC_PROFILE):
        entry = directory.entries.get(tag)
        if entry and (entry.count <= MAX_COUNT or tag == ICC_PROFILE):
            value = directories.values(data, header, entry)
            tags[tag] = value[0] if tag in SINGLE else value if tag == ICC_PROFILE else tuple(value)
    return tags


def _metadata(data, header, directory):
    """Returns the `Metadata` of a page: its EXIF is made of its tags."""
    entries = directories.tree(data, header, directory, lambda tag: tag in (*TOLD, XMP))
    xmp = entries.pop(XMP, None)
    return Metadata(directories.EMPTY + directories.pack(entries, len(directories.EMPTY)) if entries else None,
                    xmp and xmp[2]).bounded()


def _told(exif, xmp):
    """Returns the entries that a TIFF file tells of itself, of a block of EXIF and a packet of XMP."""
    entries = directories.whole_tree(exif) if exif else {}
    entries = {tag: entry for tag, entry in entries.items() if tag in TOLD}
    return entries | ({XMP: (1, len(xmp), xmp)} if xmp else {})


def _add(path, entries):
    """Adds entries to the one page of a file of our own: a new directory at its end takes the place of the first."""
    with open(path, "r+b") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            header = directories.read_header(data)
            if header.order != "<":
                return  # libvips writes in the order of the machine; ours are little-endian
            size = 20 if header.is_big else 12
            directory = directories.read_directory(data, header, header.first)
            entries |= {tag: data[entry.at:entry.at + size] for tag, entry in directory.entries.items()}
        end = file.seek(0, 2)
        base = end + end % 2
        file.write(bytes(end % 2) + directories.pack(entries, base, header.is_big))
        file.seek(8 if header.is_big else 4)
        file.write(struct.pack("<Q" if header.is_big else "<I", base))


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


def _read_by_pillow(file, tags):
    """Reads pixels of a compression that libvips may lack; Pillow turns them upright.

    Of 16 bits in colour Pillow takes the high ones: read in the other byte order, it takes the low ones for them.
    """
    bits, planes = tags.get(BITS, (1,))[0], []
    for order in ("L", "B") if bits == 16 and tags.get(NUM_SAMPLES, 1) > 1 else ("",):
        file.seek(0)
        with TiffImageFile(file) as image:
            check_size(*image.size)
            if order:
                image.tile = [tile._replace(args=_in_order(tile.args, order)) for tile in image.tile]
            image.load()
            if bits == 16 and not order:
                return np.asarray(image).astype(np.uint16)
            planes.append(colour.from_pillow(image))
    return planes[0] if len(planes) == 1 else planes[0].astype(np.uint16) << 8 | planes[1]


def _in_order(arguments, order):
    """Returns a tile's arguments with the byte order of its samples, '16L' or '16B', in place of the machine's."""
    mode, *rest = arguments
    if not mode.endswith(";16N"):
        raise Unsupported(f"its pixels are {mode}, which is not supported with this compression: save it with deflate")
    return (mode[:-1] + order, *rest)
