"""Whole numbers from computed images."""

import numpy as np


def round_half_up(image, dtype):
    """Rounds an image half up to the integer type `dtype`; values beyond its range are clipped."""
    return np.clip(np.floor(image + 0.5), 0, np.iinfo(dtype).max).astype(dtype)
