"""Comparisons and pages that the tests of the page share."""

import numpy as np

from comparison import Comparison, ComparisonPage
from imaging.resize import imresize
from tests.conftest import make_photo

NAME = "<b>&\"' ü 1%.png"
MODEL = "net <i>" + 40 * "long"


def make_comparison(height=130, width=150, name="photo.png", hr=False):
    """Returns a comparison of an LR image whose super-resolved version is its negative."""
    lr = make_photo(height, width)
    sr = 255 - imresize(lr, 4, "replicate")
    return Comparison(lr, sr, 4, name, MODEL, sr if hr else None)


def write_page(folder, *comparisons, figure=None):
    with ComparisonPage(folder, MODEL) as page:
        for comparison in comparisons:
            page.add(comparison, folder / "below" / f"sr {comparison.name}", figure)
        return page.write()


def assert_close(image, expected):
    """Asserts that two images are the same but for compression and, at most, a small shift."""
    difference = np.abs(image.astype(int) - expected)
    assert difference.mean() < 5  # of a negative: about 70
    assert np.percentile(difference, 99) < 24
