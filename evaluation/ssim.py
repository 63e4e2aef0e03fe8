"""SSIM, in bands that stay in the caches, by one filter less than the formula has: see `image_ssim`."""

import math

import numpy as np

WINDOW = 11  # pixels on a side
RADIUS = WINDOW // 2
WEIGHTS = np.exp(-np.arange(-RADIUS, RADIUS + 1) ** 2 / (2 * 1.5**2))
WEIGHTS /= WEIGHTS.sum()
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
BAND_ELEMENTS = 1 << 14  # whose intermediate results stay in the caches of a core


def image_ssim(hr, sr):
    """Returns the mean SSIM of two images (H, W, C) in [0, 255], the mean over the channels.

    Wang et al. 2004: Gaussian window of 11 x 11 with sigma 1.5, K1 = 0.01, K2 = 0.03, only where the window fits.
    Computed in float64. Images smaller than the window give nan.
    """
    windows = hr.shape[0] - WINDOW + 1
    if min(windows, hr.shape[1] - WINDOW + 1) < 1:
        return math.nan
    step, total = max(WINDOW, BAND_ELEMENTS // hr.shape[1]), 0.0
    for channel in range(hr.shape[2]):
        for top in range(0, windows, step):
            rows = min(step, windows - top)
            bands = (image[top:top + rows + WINDOW - 1, :, channel].astype(np.float64) for image in (hr, sr))
            total += rows * _band_ssim(*bands)
    return total / windows / hr.shape[2]


def _band_ssim(hr, sr):
    """Returns the mean over the windows of a band (H, W); the two variances are needed as a sum alone."""
    mean_hr, mean_sr, squares, products = (_local_mean(image) for image in (hr, sr, hr * hr + sr * sr, hr * sr))
    means, mean_squares = mean_hr * mean_sr, mean_hr * mean_hr + mean_sr * mean_sr
    luminance_and_structure = (2 * means + C1) * (2 * (products - means) + C2)
    return float((luminance_and_structure / ((mean_squares + C1) * (squares - mean_squares + C2))).mean())


def _local_mean(image):
    """Returns the means over all windows that fit: along the columns, then along the rows."""
    return _mean_of_neighbours(_mean_of_neighbours(image).T).T


def _mean_of_neighbours(image):
    """Returns the weighted means of `WINDOW` rows; those at the same distance have the same weight."""
    height = image.shape[0] - WINDOW + 1
    mean = image[RADIUS:RADIUS + height] * WEIGHTS[RADIUS]
    pair = np.empty_like(mean)
    for distance in range(1, RADIUS + 1):
        above, below = RADIUS - distance, RADIUS + distance
        np.add(image[above:above + height], image[below:below + height], out=pair)
        pair *= WEIGHTS[above]
        mean += pair
    return mean
