"""Two models compared on the same images."""

from typing import NamedTuple

import numpy as np

NUM_RESAMPLES = 10_000
EXAMPLES = 3  # images that are named


class Difference(NamedTuple):
    """How much higher a metric is with one model than with another.

    Attributes:
        mean: of the differences of all images.
        interval: of 95 % around the mean, by a paired bootstrap.
        images: list of (name, difference), the largest differences first.
    """

    mean: float
    interval: tuple
    images: list


def compare(scores, reference, name="psnr"):
    """Returns the `Difference` in the metric `name` of two `Scores`, on the images that both have; None without any.

    The interval is that of the mean over images that are drawn again with replacement, 10,000 times (Efron 1979).
    """
    known = {row["hr"]: row[name] for row in reference.images}
    images = [(row["image"], row[name] - known[row["hr"]]) for row in scores.images if row["hr"] in known]
    if not images:
        return None
    values = np.array([value for _, value in images])
    chosen = np.random.default_rng(0).integers(len(values), size=(NUM_RESAMPLES, len(values)))
    low, high = np.percentile(values[chosen].mean(axis=1), (2.5, 97.5))
    images.sort(key=lambda image: -abs(image[1]))
    return Difference(float(values.mean()), (float(low), float(high)), images)
