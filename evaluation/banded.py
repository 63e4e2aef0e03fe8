"""PSNR and SSIM of images too large to be compared at once."""

import math
from typing import NamedTuple

from evaluation.metrics import mean_squared_error, psnr_of
from evaluation.ssim import WINDOW, image_ssim

BAND_PIXELS = 1 << 20  # compared at once


class PSNRAndSSIM(NamedTuple):
    """PSNR in dB and SSIM of an image; nan where it is too small for them."""

    psnr: float
    ssim: float

    def __str__(self):
        psnr = "n/a" if math.isnan(self.psnr) else f"{self.psnr:.2f} dB"
        return f"{psnr} / " + ("n/a" if math.isnan(self.ssim) else f"{self.ssim:.4f}")


def compare_by_bands(hr, sr_rows, scale, protocol, band_pixels=BAND_PIXELS):
    """Compares an image with `hr` by a protocol, band by band.

    The result is that of `image_psnr` and `image_ssim` on the whole images: SSIM's bands overlap by what its window
    looks around.

    Args:
        hr: image (H, W, 3), uint8.
        sr_rows: function from the first row and the one after the last to the rows of the other image, uint8.
        scale: on which the protocol's border may depend.
        protocol: `Protocol`.
        band_pixels: how large a band is, about.

    Returns:
        `PSNRAndSSIM`.
    """
    border = protocol.border_pixels(scale)
    height, width = (size - 2 * border for size in hr.shape[:2])
    if min(height, width) < 1:
        return PSNRAndSSIM(math.nan, math.nan)

    def prepared(rows):
        return protocol._replace(border="0").prepare(rows[:, border:border + width], scale)

    mse = ssim = 0.0
    step = max(band_pixels // width, 3 * WINDOW)
    for top in range(0, height, step):
        rows = min(step, height - top)
        end = min(top + rows + WINDOW - 1, height)
        hr_band = prepared(hr[border + top:border + end])
        sr_band = prepared(sr_rows(border + top, border + end))
        mse += rows * mean_squared_error(hr_band[:rows], sr_band[:rows])
        if (windows := end - top - WINDOW + 1) > 0:
            ssim += windows * image_ssim(hr_band, sr_band)
    windows = height - WINDOW + 1
    return PSNRAndSSIM(psnr_of(mse / height), ssim / windows if windows > 0 else math.nan)
