"""A figure of where two models differ: the same part of the original and of both outputs, side by side."""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import uniform_filter

from comparison.figure import CAPTION, GAP, MARGIN, PANEL, PAPER, Panel, paste
from comparison.pair import REGION_SIZE
from comparison.regions import Region
from datasets.arrays import stored_image
from evaluation.difference import EXAMPLES, differences
from evaluation.outputs import output_path
from imaging.image_files import read_image
from imaging.photos import Photo, write_photo


def difference_figure(hr, outputs, note=""):
    """Draws the part of an image where two models' errors differ most.

    Args:
        hr: the original, (H, W, 3) uint8.
        outputs: the two outputs, of its size, by what is written below them; the values are (image, note).
        note: below the original.

    Returns:
        A PIL image.
    """
    region = most_different(hr, *(image for image, _ in outputs.values()))
    shown = [("Original", hr, note), *((title, image, text) for title, (image, text) in outputs.items())]
    zoom = max(1, PANEL // max(region.height, region.width))
    size = region.width * zoom, region.height * zoom
    figure = Image.new("RGB", (2 * MARGIN + len(shown) * (PANEL + GAP) - GAP, 2 * MARGIN + PANEL + CAPTION), PAPER)
    for i, (title, image, text) in enumerate(shown):
        pixels = Image.fromarray(np.ascontiguousarray(region.of(image))).resize(size, Image.Resampling.NEAREST)
        paste(figure, Panel(pixels, (PANEL, PANEL), title, text), MARGIN + i * (PANEL + GAP), MARGIN)
    return figure


def most_different(hr, one, other):
    """Returns the `Region` of `REGION_SIZE` pixels where the squared errors of two outputs differ most, in its mean."""
    size = [min(REGION_SIZE, side) for side in hr.shape[:2]]
    errors = [np.square(hr.astype("float32") - image).mean(axis=2) for image in (one, other)]
    means = np.abs(uniform_filter(errors[0] - errors[1], size))
    valid = means[size[0] // 2:hr.shape[0] - (size[0] - 1) // 2, size[1] // 2:hr.shape[1] - (size[1] - 1) // 2]
    top, left = np.unravel_index(valid.argmax(), valid.shape)
    return Region(int(top), int(left), *size)


def write_difference_figures(results, reference, folder):
    """Writes a figure of each of the images in which models differ most from the model `reference`.

    Args:
        results: list of `evaluation.Result`.
        reference: the model's name.
        folder: of the outputs, as `evaluation.saving` has written them, and of the figures:
            IMAGE_MODEL_against_REFERENCE.png; of several sets of images, the folder of theirs.

    Returns:
        The paths.
    """
    paths = []
    for result, against, difference in differences(results, reference):
        place = folder / (result.images or "")
        for row, other in difference.rows[:EXAMPLES]:
            models = (result.name, row), (against.name, other)
            outputs = {Path(name).stem: (read_image(output_path(place, row["image"], name)), f"{found['psnr']:.3f} dB")
                       for name, found in models}
            hr = read_hr(row["hr"])
            sr = next(iter(outputs.values()))[0]
            both = f"{Path(result.name).stem}_against_{Path(against.name).stem}.png"  # of which the stem is taken
            path = output_path(place, row["image"], both)
            write_photo(path, Photo(np.asarray(difference_figure(hr[:sr.shape[0], :sr.shape[1]], outputs,
                                                                 row["image"]))))
            paths.append(path)
    return paths


def read_hr(path):
    """Returns an original (H, W, 3), uint8, of an image file or of a data set's array."""
    return stored_image(Path(path)).read() if path.endswith(".npy") else read_image(path)
