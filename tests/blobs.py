"""Images of one bright spot, by whose centre a shift of the pixel grid is seen."""

import numpy as np

BACKGROUND = 40  # grey levels: room for ringing


def blob(height, width, y, x):
    """Returns an image with a smooth bright spot at (y, x), in units of its size."""
    rows, columns = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    light = np.exp(-((rows[:, None] - y) ** 2 + (columns - x) ** 2) / (2 * 0.1**2))
    return np.repeat(np.round(BACKGROUND + 180 * light)[..., None], 3, axis=2).astype(np.uint8)


def centroid(image):
    """Returns the centre of what is brighter than BACKGROUND in an image, in units of its size: 0.5 is the middle."""
    light = (image.astype(float) - BACKGROUND).sum(axis=2)
    return [((np.arange(length) + 0.5) / length * light.sum(axis=1 - axis)).sum() / light.sum()
            for axis, length in enumerate(light.shape)]
