"""PSNR and SSIM of images too large to be compared at once."""

import math
from typing import NamedTuple

from evaluation import Protocol, image_psnr, image_ssim

PROTOCOL = Protocol(channels="y", border="scale", rounded=True)  # of the benchmarks
BAND_PIXELS = 1 << 20  # compared at once
WINDOW = 11  # rows of SSIM's window


class Scores(NamedTuple):
    """PSNR in dB and SSIM; nan where the image is too small for it."""

    psnr: float
    ssim: float

    def __str__(self):
        psnr = "n/a" if math.isnan(self.psnr) else f"{self.psnr:.2f} dB"
        return f"{psnr} / " + ("n/a" if math.isnan(self.ssim) else f"{self.ssim:.4f}")


def banded_scores(hr, sr_rows, scale, band_pixels=BAND_PIXELS):
    """Compares an image with `hr` by the benchmark protocol, band by band.

    The result is that of `image_psnr` and `image_ssim` on the whole images: SSIM's bands overlap by what its window
    looks around.

    Args:
        hr: image (H, W, 3), uint8.
        sr_rows: function from the first row and the one after the last to the rows of the other image, uint8.
        scale: on which the border depends that is left out.
        band_pixels: how large a band is, about.
    """
    border = PROTOCOL.border_pixels(scale)
    height, width = (size - 2 * border for size in hr.shape[:2])
    if min(height, width) < 1:
        return Scores(math.nan, math.nan)
    mse = ssim = 0.0
    step = max(band_pixels // width, 3 * WINDOW)
    for top in range(0, height, step):
        rows = min(step, height - top)
        end = min(top + rows + WINDOW - 1, height)
        hr_band, sr_band = (_prepare(image, border) for image in (hr[border + top:border + end],
                                                                  sr_rows(border + top, border + end)))
        mse += rows * _mse(hr_band[:rows], sr_band[:rows])
        if (windows := end - top - WINDOW + 1) > 0:
            ssim += windows * image_ssim(hr_band, sr_band)
    windows = height - WINDOW + 1
    return Scores(_psnr(mse / height), ssim / windows if windows > 0 else math.nan)


def _prepare(rows, border):
    return PROTOCOL._replace(border="0").prepare(rows[:, border:rows.shape[1] - border], scale=1)


def _mse(hr, sr):
    return 255.0**2 / 10 ** (image_psnr(hr, sr) / 10)


def _psnr(mse):
    return math.inf if mse == 0 else 10 * math.log10(255.0**2 / mse)
