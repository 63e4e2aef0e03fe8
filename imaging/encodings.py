"""Colours that a file tells otherwise than by a profile: PNG's chunks, the code points of video, the mark of cameras.

The curve of the values is exchanged for sRGB's, since networks are trained on values of about that curve; in 8 bits
this moves a value by half a level at most. The primaries are kept, in a colour profile that is made for them, since
sRGB would cut off the colours that it lacks.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from imaging.limits import Unsupported
from imaging.profiles import matrix_profile

STRIP = 128  # rows that are computed at once
D65 = (0.3127, 0.329)
SRGB = (0.64, 0.33, 0.3, 0.6, 0.15, 0.06)  # x and y of red, green and blue
SAME = 0.003  # chromaticities that differ by less are the same
SRGB_GAMMA = (0.4318, 0.4773)  # exponents within 5 % of 1 / 2.2 stand for sRGB's curve, as libpng takes them
SOUND_GAMMA = (0.1, 10)  # exponents; others are damage
ADOBE_GAMMA = 563 / 256
# By the code points of ITU-T H.273: the white point, and the primaries. 1 is sRGB, and 2 says nothing.
PRIMARIES = {4: (0.31, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08), 5: (*D65, 0.64, 0.33, 0.29, 0.6, 0.15, 0.06),
             6: (*D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07), 7: (*D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
             8: (0.31, 0.316, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
             9: (*D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),
             11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
             12: (*D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06), 22: (*D65, 0.63, 0.34, 0.295, 0.605, 0.155, 0.077)}
GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}  # of the transfer function; those of video are shown as sRGB's
SHOWN_AS_SRGB = (1, 6, 13, 14, 15)
HDR = {16: "PQ", 18: "HLG"}


class Encoding(NamedTuple):
    """How values stand for colours.

    Attributes:
        icc_profile: of the values once their curve is sRGB's; None: they are sRGB.
        to_light: function of values in [0, 1], to light in [0, 1]; None: the curve is sRGB's or in the profile.
    """

    icc_profile: bytes | None = None
    to_light: Callable | None = None


def by_gamma(gamma, chromaticities):
    """Returns the `Encoding` that PNG's gAMA and cHRM tell.

    Args:
        gamma: exponent from light to values, about 0.45, or None.
        chromaticities: x and y of white, red, green and blue, or None.
    """
    to_light = None
    if gamma and SOUND_GAMMA[0] <= gamma <= SOUND_GAMMA[1] and not SRGB_GAMMA[0] <= gamma <= SRGB_GAMMA[1]:
        to_light = _power(1 / gamma)
    return Encoding(_profile(chromaticities), to_light)


def is_known(primaries, transfer):
    """Whether these code points of H.273 say something that is known here."""
    return (primaries == 1 or primaries in PRIMARIES) and transfer in (*SHOWN_AS_SRGB, *GAMMAS, *HDR)


def by_code_points(primaries, transfer):
    """Returns the `Encoding` of code points of H.273 that are known.

    Raises:
        Unsupported: they are those of high dynamic range, which a photo of 8 or 16 bits would lose without a word.
    """
    if transfer in HDR:
        raise Unsupported(f"its pixels are of high dynamic range ({HDR[transfer]}), which is not supported: save it "
                          "with standard range")
    return Encoding(_profile(PRIMARIES.get(primaries)), _power(GAMMAS[transfer]) if transfer in GAMMAS else None)


def adobe_rgb():
    """Returns the `Encoding` of Adobe RGB (1998), which its profile tells whole: its curve is near to sRGB's."""
    return Encoding(matrix_profile("Adobe RGB (1998) compatible", (*D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06),
                                   ADOBE_GAMMA))


def with_srgb_curve(pixels, to_light):
    """Returns pixels of a `Photo` with sRGB's curve, in place; alpha stays."""
    highest = np.iinfo(pixels.dtype).max
    light = np.clip(to_light(np.arange(highest + 1) / highest), 0, 1)
    values = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    table = np.floor(values * highest + 0.5).astype(pixels.dtype)
    pixels = pixels if pixels.flags.writeable else pixels.copy()
    channels = (*pixels.shape, 1)[2]
    colours = pixels if channels in (1, 3) else pixels[..., :-1]
    for top in range(0, len(pixels), STRIP):
        colours[top:top + STRIP] = table[colours[top:top + STRIP]]
    return pixels


def _power(exponent):
    return lambda values: values**exponent


def _profile(chromaticities):
    """Returns the profile of primaries with sRGB's curve; None for sRGB's, or such as can be no primaries."""
    if not chromaticities or np.abs(np.subtract(chromaticities, (*D65, *SRGB))).max() < SAME:
        return None
    return matrix_profile("RGB primaries of the image", chromaticities)
