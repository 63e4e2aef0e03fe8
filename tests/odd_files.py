"""Image files of every odd kind: how to make each, and what should come of it."""

import os
import struct
import zlib
from typing import NamedTuple

import numpy as np

from tests.odd_file_makers import (
    HEIGHT,
    ORIENTATION,
    WIDTH,
    avif,
    avif_says,
    bmp,
    by_libvips,
    by_pillow,
    circle_tiff,
    cmyk_jpeg,
    content,
    cut,
    damaged,
    exif,
    huge_webp,
    in_cmyk,
    jpeg_of_scans,
    jpeg_says,
    lab_tiff,
    mpo,
    not_alpha,
    padded_jpeg,
    photo,
    pixels,
    png,
    png16,
    profile,
    replaced,
    rle_bmp,
    several,
    short_of_pixels,
    sparse,
    spliced,
    tiff16,
    tiff_of_pages,
    tiff_with_thumbnail,
    turned,
    unix_socket,
)

FULL = (HEIGHT, WIDTH)


class Read(NamedTuple):
    """A file that is read.

    Attributes:
        shape: of the pixels.
        mode: PIL's of a file written with the same suffix; None where PIL cannot open such a file.
        dtype: of the pixels.
        error: largest mean difference to `pixels(channels)`, in 8-bit levels; None where it is another image.
    """

    shape: tuple
    mode: str | None
    dtype: type = np.uint8
    error: float | None = 0

    def near(self, error):
        return self._replace(error=error)

    @property
    def other(self):
        return self._replace(error=None)


class Refused(NamedTuple):
    """A file that is an error, whose text contains `words`."""

    words: str


GREY, GREY_ALPHA, RGB, RGBA = (
    Read(FULL, "L"), Read((*FULL, 2), "LA"), Read((*FULL, 3), "RGB"), Read((*FULL, 4), "RGBA"))
GREY_16, GREY_ALPHA_16, RGB_16, RGBA_16 = (
    Read(FULL, "I;16", np.uint16), Read((*FULL, 2), "RGBA", np.uint16), Read((*FULL, 3), "RGB", np.uint16),
    Read((*FULL, 4), "RGBA", np.uint16))


def odd_files():
    """Returns file name -> (maker, which takes the path, and what is expected: Read or Refused)."""
    return broken() | huge() | frames() | eight_bits() | sixteen_bits() | colours() | oriented()


def broken():
    noise = np.random.default_rng(0).integers(0, 256, (60, 50, 3)).astype(np.uint8)
    noise_16 = noise.astype(np.uint16) * 257
    whole = by_pillow(noise)
    text = (b"zTXt", b"comment\0\0" + zlib.compress(bytes(20_000_000)))
    return {
        "empty.png": (content(b""), Refused("is empty")),
        "text.png": (content(b"This is no image.\n" * 9), Refused("not an image")),
        "text.bmp": (content(b"BMs are not always bitmaps: " + bytes(range(99))), Refused("truncated")),
        "garbage.jpg": (content(noise.tobytes()), Refused("not an image")),
        "signature.png": (content(b"\x89PNG\r\n\x1a\n"), Refused("truncated")),
        "signature.jpg": (content(b"\xff\xd8\xff"), Refused("damaged")),
        "signature.tif": (content(b"II*\0"), Refused("damaged")),
        "signature.webp": (content(b"RIFF\0\0\0\0WEBPVP8 "), Refused("damaged")),
        "signature.avif": (content(b"\0\0\0\x1cftypavif\0\0\0\0"), Refused("damaged")),
        "no-page.tif": (content(b"II*\0\0\0\0\0"), Refused("no pages")),
        "cut.png": (cut(whole, 0.5), Refused("truncated")),
        "cut-header.png": (content(png(9, 9, 8, 2)[:20]), Refused("truncated")),
        "no-pixels.png": (content(png(9, 9, 8, 2)), Refused("truncated")),
        "cut.jpg": (cut(whole, 0.5), Refused("truncated")),
        "cut-progressive.jpg": (cut(by_pillow(noise, progressive=True), 0.7), Refused("truncated")),
        "cut.webp": (cut(whole, 0.5), Refused("truncated")),
        "cut.avif": (cut(avif(noise), 0.5), Refused("truncated")),
        "cut-12-bits.avif": (cut(avif(noise_16, "rgb16"), 0.5), Refused("truncated")),
        "cut.bmp": (cut(whole, 0.5), Refused("truncated")),
        "cut-gif.png": (cut(by_pillow(noise, "P", "GIF"), 0.5), Refused("truncated")),
        "cut.tif": (cut(by_libvips(noise), 0.5), Refused("damaged")),
        "cut-pixels.tif": (replaced(content(tiff16(3)), (struct.pack("<HHII", 257, 3, 1, HEIGHT),
                                                         struct.pack("<HHII", 257, 3, 1, 9 * HEIGHT))),
                           Refused("damaged")),
        "cut-lzw.tif": (cut(by_pillow(noise, compression="tiff_lzw"), 0.9), Refused("damaged")),
        "cut-16.png": (cut(by_libvips(noise_16, "rgb16"), 0.5), Refused("truncated")),
        "damaged.png": (damaged(whole), Refused("data stream")),
        "damaged-16.png": (damaged(by_libvips(noise_16, "rgb16")), Refused("data stream")),
        "damaged.tif": (damaged(by_libvips(noise, compression="deflate")), Refused("damaged")),
        "short.png": (short_of_pixels(whole), Refused("pixels are missing")),
        "short-interlaced.png": (short_of_pixels(by_libvips(noise, interlace=True)), Refused("truncated")),
        "short-16.png": (short_of_pixels(by_libvips(noise_16, "rgb16")), Refused("truncated")),
        "no-palette.png": (content(png(9, 9, 8, 3, bytes(10) * 9)), Refused("damaged")),
        "spliced.jpg": (spliced(whole, 0.7), Refused("premature end of data")),
        "spliced-progressive.jpg": (spliced(by_pillow(noise, progressive=True), 0.9), Refused("truncated")),
        "gap.jpg": (spliced(by_pillow(noise, quality=90), 0.5, 0.7), Refused("Corrupt JPEG data")),
        "two-bytes-short.jpg": (cut(whole, 0.99), Refused("premature end of data")),
        "text-bomb.png": (content(png(1, 1, 8, 0, b"\0\7", before=[text])), Read((1, 1), "L").other),
        "text-bomb-after.png": (content(png(1, 1, 8, 0, b"\0\7", after=[text])), Read((1, 1), "L").other),
        "folder.png": (lambda path: path.mkdir(), Refused("Is a directory")),
        "pipe.png": (os.mkfifo, Refused("no regular file")),
        "socket.png": (unix_socket, Refused("no regular file")),
        "device.png": (lambda path: path.symlink_to("/dev/zero"), Refused("no regular file")),
        "too-many-bytes.png": (sparse(2**32 + 1), Refused("4,294,967,297 bytes")),
        "dangling.png": (lambda path: path.symlink_to(path.with_name("gone.png")), Refused("No such file")),
    }


def huge():
    """Small files whose headers tell of many pixels."""
    huge_tiff = replaced(content(tiff16(3)),
                         (struct.pack("<HHII", 256, 3, 1, WIDTH), struct.pack("<HHII", 256, 3, 1, 60_000)),
                         (struct.pack("<HHII", 257, 3, 1, HEIGHT), struct.pack("<HHII", 257, 3, 1, 50_000)))
    huge_bmp = bmp(24, 0, b"", b"").replace(struct.pack("<ii", WIDTH, HEIGHT), struct.pack("<ii", 50_000, 40_000))
    return {
        "huge.png": (content(png(100_000, 100_000, 8, 2)), Refused("100000 x 100000 pixels")),
        "huge-16.png": (content(png(100_000, 100_000, 16, 2)), Refused("100000 x 100000 pixels")),
        "wide.png": (content(png(2**31 - 1, 1, 8, 0)), Refused("2147483647 x 1 pixels")),
        "huge.jpg": (jpeg_says(65_000, 65_000), Refused("65000 x 65000 pixels")),
        "claims.jpg": (jpeg_says(13_000, 13_000), Refused("bytes cannot hold 13000 x 13000 pixels")),
        "claims.png": (content(png(13_000, 13_000, 8, 2, bytes(40_000))), Refused("bytes cannot hold 13000 x 13000")),
        "scans.jpg": (jpeg_of_scans(200), Refused("scans, which is too much work")),
        "pages-and-pages.tif": (tiff_of_pages(100_000), Refused("more than 1,000 pages")),
        "samples.tif": (replaced(by_libvips(np.zeros((HEIGHT, WIDTH, 200), np.uint8)),
                                 (struct.pack("<HHII", 256, 3, 1, WIDTH), struct.pack("<HHII", 256, 4, 1, 9000)),
                                 (struct.pack("<HHII", 257, 3, 1, HEIGHT), struct.pack("<HHII", 257, 4, 1, 9000))),
                        Refused("9000 x 9000 pixels of 200 bytes")),
        "runs.bmp": (content(bmp(4, 2, bytes(64), b"\0\1").replace(
            struct.pack("<ii", WIDTH, HEIGHT), struct.pack("<ii", 9000, 9000))), Refused("run-length")),
        "huge.webp": (huge_webp, Refused("16000 x 16000 pixels")),
        "huge.avif": (avif_says(11_000, 10_000), Refused("11000 x 10000 pixels, and images of up to 100,000,000")),
        "huger.avif": (avif_says(60_000, 60_000), Refused("damaged")),
        "huge.bmp": (content(huge_bmp), Refused("50000 x 40000 pixels")),
        "huge.tif": (huge_tiff, Refused("60000 x 50000 pixels")),
    }


def frames():
    return {
        "animated.webp": (several("WEBP"), Refused("3 frames")),
        "animated-gif.png": (several("GIF"), Refused("3 frames")),
        "animated.avif": (several("AVIF"), Refused("3 frames")),
        "animated.png": (several("PNG"), Refused("3 frames")),
        "pages.tif": (several("TIFF", 4), Refused("4 pages")),
        "thumbnail.tif": (tiff_with_thumbnail, RGB),
        "circle.tif": (circle_tiff, RGB_16),
        "second-picture.jpg": (mpo, RGB.near(6)),
    }


def eight_bits():
    red = (255, 0, 0)
    red_corner = photo()
    red_corner[:5, :5] = red
    with_hole = np.dstack([photo(), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    with_hole[:5, :5, 3] = 0
    return {
        "1.png": (by_pillow(photo(), "1"), GREY.other),
        "L.png": (by_pillow(pixels(1)), GREY),
        "L-transparent.png": (by_pillow(pixels(1), transparency=100), GREY_ALPHA.other),
        "LA.png": (by_pillow(pixels(2)), GREY_ALPHA),
        "LA.tif": (by_pillow(pixels(2)), GREY_ALPHA),
        "P.png": (by_pillow(photo(), "P"), RGB.other),
        "P.tif": (by_pillow(photo(), "P"), RGB.other),
        "P.bmp": (by_pillow(photo(), "P"), RGB.other),
        "P-index.png": (by_pillow(photo(), "P", transparency=3), RGBA.other),
        "P-bytes.png": (by_pillow(photo(), "P", transparency=bytes(range(200))), RGBA.other),
        "PA.tif": (by_pillow(photo(), "PA"), RGBA.other),
        "RGB.png": (by_pillow(photo()), RGB),
        "RGB-transparent.png": (by_pillow(red_corner, transparency=red), RGBA.other),
        "RGBA.png": (by_pillow(pixels(4)), RGBA),
        "RGBA.tif": (by_pillow(pixels(4)), RGBA),
        "RGBX.tif": (by_pillow(photo(), "RGBX"), RGB),
        "four-bands.tif": (not_alpha(4), Refused("4 bands, of which its colours")),
        "four-bands-16.tif": (not_alpha(4, dtype=np.uint16), Refused("4 bands, of which its colours")),
        "four-bands-unsaid.tif": (not_alpha(4, kind=None), Refused("4 bands, of which its colours")),
        "two-bands.tif": (not_alpha(2), Refused("2 bands, of which its colours")),
        "six-bands.tif": (not_alpha(6), Refused("6 bands, of which its colours")),
        "RGBA.webp": (by_pillow(pixels(4), lossless=True, exact=True), RGBA),
        "RGB.webp": (by_pillow(photo(), quality=95), RGB.near(6)),
        "RGB.avif": (avif(photo()), RGB),
        "RGBA.avif": (avif(pixels(4)), RGBA),
        "subsampled.avif": (by_pillow(photo(), quality=90), RGB.near(8)),
        "grey.avif": (by_pillow(pixels(1)), RGB.other),
        "interlaced.png": (by_libvips(photo(), interlace=True), RGB),
        "progressive.jpg": (by_pillow(photo(), progressive=True, quality=95), RGB.near(6)),
        "padded.jpg": (padded_jpeg, RGB.near(6)),
        "grey.jpg": (by_pillow(pixels(1), quality=95), GREY.near(6)),
        "32-bits.bmp": (by_pillow(pixels(4)), RGB),
        "24-bits.bmp": (by_pillow(photo()), RGB),
        "1-bit.bmp": (by_pillow(photo(), "1"), GREY.other),
        "runs-8.bmp": (content(rle_bmp()), GREY.other),
        "lzw.tif": (by_pillow(photo(), compression="tiff_lzw"), RGB),
        "packbits.tif": (by_pillow(photo(), compression="packbits"), RGB),
        "fax.tif": (by_pillow(photo(), "1", compression="group4"), GREY.other),
        "jpeg.tif": (by_pillow(photo(), compression="jpeg", quality=95), RGB.near(6)),
        "webp.tif": (by_libvips(photo(), compression="webp", lossless=True), RGB),
        "pyramid.tif": (by_libvips(photo(), tile=True, tile_width=16, tile_height=16, pyramid=True), RGB),
        "big.tif": (by_libvips(photo(), bigtiff=True), RGB),
        "1x1.png": (by_pillow(photo()[:1, :1]), Read((1, 1, 3), "RGB").other),
        "1xN.jpg": (by_pillow(photo()[:1]), Read((1, WIDTH, 3), "RGB").other),
        "Nx1.webp": (by_pillow(photo()[:, :1]), Read((HEIGHT, 1, 3), "RGB").other),
        "1x1.tif": (by_pillow(photo()[:1, :1]), Read((1, 1, 3), "RGB").other),
        "1x1.bmp": (by_pillow(photo()[:1, :1]), Read((1, 1, 3), "RGB").other),
        "1x1.avif": (by_pillow(photo()[:1, :1]), Read((1, 1, 3), "RGB").other),
        "jpeg-named.avif": (by_pillow(photo(), None, "JPEG", quality=95), RGB.near(6)),
        "avif-named.png": (by_pillow(photo(), None, "AVIF", quality=95), RGB.near(8)),
        "jpeg-named.png": (by_pillow(photo(), None, "JPEG", quality=95), RGB.near(6)),
        "png-named.JPG": (by_pillow(pixels(4), None, "PNG"), RGBA._replace(mode="RGB")),
        "tiff-named.webp": (by_pillow(pixels(2), None, "TIFF"), GREY_ALPHA._replace(mode="RGBA")),
        "gif-named.png": (by_pillow(photo(), "P", "GIF"), RGB.other),
        "gif-transparent-named.png": (by_pillow(with_hole, None, "GIF"), RGBA.other),
        "webp-named.bmp": (by_pillow(photo(), None, "WEBP", lossless=True), RGB),
        "UPPER.PNG": (by_pillow(photo()), RGB),
        "UPPER.TIFF": (by_pillow(photo()), RGB),
        "[name=1] #é.png": (by_pillow(photo()), RGB),
    }


def sixteen_bits():
    signed = np.asarray(pixels(1), np.int32) * 100
    negative = signed - 5
    return {
        "I16.png": (content(png16(1)), GREY_16),
        "LA16.png": (content(png16(2)), GREY_ALPHA_16),
        "RGB16.png": (content(png16(3)), RGB_16),
        "RGBA16.png": (content(png16(4)), RGBA_16),
        "RGB16-transparent.png": (content(png16(3, before=[(b"tRNS", bytes(6))])), RGBA_16.other),
        "I16-transparent.png": (content(png16(1, before=[(b"tRNS", bytes(2))])), GREY_ALPHA_16.other),
        "RGB16-interlaced.png": (by_libvips(pixels(3, np.uint16), "rgb16", interlace=True), RGB_16),
        "RGB16-named.jpg": (content(png16(3)), RGB_16),
        "RGBA16-named.bmp": (content(png16(4)), RGBA_16._replace(mode="RGB")),
        "LA16-named.webp": (content(png16(2)), GREY_ALPHA_16),
        "10-bits.avif": (avif(pixels(3, np.uint16), "rgb16", bitdepth=10), RGB_16.near(0.2)),
        "12-bits.avif": (avif(pixels(3, np.uint16), "rgb16", bitdepth=12), RGB_16.near(0.05)),
        "12-bits-alpha.avif": (avif(pixels(4, np.uint16), "rgb16", bitdepth=12), RGBA_16.near(0.05)),
        "I16-little.tif": (content(tiff16(1)), GREY_16),
        "I16-big.tif": (content(tiff16(1, ">")), GREY_16),
        "LA16.tif": (by_libvips(pixels(2, np.uint16), "grey16"), GREY_ALPHA_16._replace(mode=None)),
        "RGB16-little.tif": (content(tiff16(3)), RGB_16),
        "RGB16-big.tif": (content(tiff16(3, ">")), RGB_16),
        "RGB16-planes.tif": (content(tiff16(3, planar=True)), RGB_16),
        "RGBA16.tif": (by_libvips(pixels(4, np.uint16), "rgb16", compression="deflate"), RGBA_16),
        "signed-16.tif": (by_libvips(pixels(1), cast="short"), GREY_16.other),
        "signed-32.tif": (by_pillow(signed, "I"), GREY_16.other),
        "negative.tif": (by_pillow(negative, "I"), Refused("range from -5 to")),
        "unsigned-32.tif": (by_libvips(pixels(3), cast="uint"), RGB_16.other),
        "too-much-32.tif": (by_libvips(np.full((4, 4), 65536, np.uint32), cast="uint"), Refused("65536 to 65536")),
        "float.tif": (by_pillow(pixels(1), "F"), Refused("floating-point numbers of 32 bits")),
        "float-rgb.tif": (content(tiff16(3, float32=True)), Refused("floating-point numbers of 32 bits")),
        "float-64.tif": (by_libvips(pixels(3), cast="double"), Refused("floating-point numbers of 64 bits")),
        "signed-8.tif": (by_libvips(pixels(1), cast="char"), Refused("signed integers of 8 bits")),
    }


def colours():
    """CMYK and others become sRGB; colour profiles that do not fit are dropped."""
    inked = in_cmyk(profile("cmyk"))
    cmyk = by_libvips(inked, "cmyk", icc_profile=profile("cmyk"))
    return {
        "cmyk.jpg": (cmyk_jpeg(), RGB.near(6)),
        "cmyk-profile.jpg": (cmyk_jpeg(image=inked, icc_profile=profile("cmyk")), RGB.near(10)),
        "cmyk-wrong-profile.jpg": (cmyk_jpeg(icc_profile=profile("sRGB")), RGB.near(6)),
        "cmyk-damaged-profile.jpg": (cmyk_jpeg(icc_profile=b"no profile"), RGB.near(6)),
        "cmyk-without-adobe.jpg": (cmyk_jpeg(adobe=False), RGB.near(6)),
        "cmyk-without-adobe-profile.jpg": (cmyk_jpeg(False, inked, profile("cmyk")), RGB.near(10)),
        "cmyk.tif": (by_pillow(photo(), "CMYK"), RGB.near(1)),
        "cmyk-profile.tif": (cmyk, RGB.near(10)),
        "cmyk-16.tif": (by_libvips(inked.astype(np.uint16) * 257, "cmyk", icc_profile=profile("cmyk")), RGB.near(10)),
        "ycbcr.jpg": (by_pillow(photo(), "YCbCr", quality=95), RGB.near(6)),
        "ycbcr.tif": (by_pillow(photo(), "YCbCr"), RGB.near(2)),
        "lab.tif": (lab_tiff, RGB.near(3)),
        "damaged-profile.png": (by_pillow(photo(), icc_profile=b"no profile"), RGB),
        "damaged-profile.jpg": (by_pillow(photo(), icc_profile=profile()[:200], quality=95), RGB.near(6)),
        "damaged-profile.tif": (by_pillow(photo(), icc_profile=bytes(500)), RGB),
        "damaged-profile-16.png": (content(png16(3, before=[(b"iCCP", b"x\0\0" + zlib.compress(b"no"))])), RGB_16),
        "cmyk-profile-in-rgb.png": (by_pillow(photo(), icc_profile=profile("cmyk")), RGB),
        "rgb-profile-in-grey.png": (by_pillow(pixels(1), icc_profile=profile()), GREY),
        "grey-profile-in-rgb.tif": (by_pillow(photo(), icc_profile=profile("grey")), RGB),
    }


def oriented():
    """All 8 orientations, in each format that has them: the pixels are stored so that they are `photo()` upright."""
    files = {}
    for value in range(1, 9):
        stored, stored_16 = turned(photo(), value), turned(pixels(3, np.uint16), value)
        files |= {
            f"turned-{value}.jpg": (by_pillow(stored, exif=exif(value), quality=95), RGB.near(6)),
            f"turned-{value}.png": (by_pillow(stored, exif=exif(value)), RGB),
            f"turned-{value}.webp": (by_pillow(stored, exif=exif(value), lossless=True), RGB),
            f"turned-{value}.avif": (by_pillow(stored, exif=exif(value), quality=95, subsampling="4:4:4"), RGB.near(6)),
            f"turned-{value}.tif": (by_pillow(stored, exif=exif(value)), RGB),
            f"turned-{value}-16.png": (content(png16(stored_16, after=[(b"eXIf", exif(value).tobytes()[6:])])), RGB_16),
            f"turned-{value}-16.tif": (by_libvips(stored_16, "rgb16", orientation=value), RGB_16),
        }
    damaged_exif = b"Exif\0\0MM\0*\0\0\xff\xff"
    # The EXIF orientation of an AVIF has no meaning beside the turning that its header tells.
    by_exif_alone = replaced(avif(photo(), orientation=1), (struct.pack("<HHIH", ORIENTATION, 3, 1, 1),
                                                            struct.pack("<HHIH", ORIENTATION, 3, 1, 6)))
    return files | {"exif-turned.avif": (by_exif_alone, RGB),
                    "turned-9.png": (by_pillow(photo(), exif=exif(9)), RGB),
                    "damaged-exif.jpg": (by_pillow(photo(), exif=damaged_exif, quality=95), RGB.near(6))}
