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
        rows: of these images, both rows of the `Scores`.
    """

    mean: float
    interval: tuple
    images: list
    rows: list


def compare(scores, reference, name="psnr"):
    """Returns the `Difference` in the metric `name` of two `Scores`, on the images that both have; None without any.

    The interval is that of the mean over images that are drawn again with replacement, 10,000 times (Efron 1979).
    """
    known = {row["hr"]: row for row in reference.images}
    rows = [(row, known[row["hr"]]) for row in scores.images if row["hr"] in known]
    if not rows:
        return None
    values = np.array([row[name] - other[name] for row, other in rows])
    chosen = np.random.default_rng(0).integers(len(values), size=(NUM_RESAMPLES, len(values)))
    low, high = np.percentile(values[chosen].mean(axis=1), (2.5, 97.5))
    order = np.argsort(-np.abs(values), kind="stable")
    images = [(rows[i][0]["image"], float(values[i])) for i in order]
    return Difference(float(values.mean()), (float(low), float(high)), images, [rows[i] for i in order])


def differences(results, reference):
    """Yields each `Result` that can be compared with that of the model `reference`, that one, and the `Difference`."""
    for result in results:
        against = [other for other in results if other.name == reference
                   and (other.scale, other.images) == (result.scale, result.images)]
        difference = compare(result.scores, against[0].scores) if against and result.name != reference else None
        if difference is not None:
            yield result, against[0], difference
