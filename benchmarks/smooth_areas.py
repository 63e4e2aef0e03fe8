"""How much of what a model adds lies where the original is smooth: texture that was made up, or a grid.

    python benchmarks/smooth_areas.py --images ./Set14 -i srgan-x4 wdsr-b-8-x4

Smooth is where the standard deviation of the original's Y channel within 7 x 7 pixels is below 3. There the energy of
the high frequencies, what a Gaussian blur of sigma 1 removes, is compared with the original's. Low-resolution images
are made as MATLAB's `imresize` makes them. Prints the factor for each model, of all images together, and the image with
the largest one.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter

import pretrained

WINDOW, LARGEST_DEVIATION, SIGMA = 7, 3, 1
FEWEST = 1000  # smooth pixels of an image that counts by itself


def smooth(y):
    """Returns where a Y channel (H, W) is smooth."""
    mean = uniform_filter(y, WINDOW)
    return np.maximum(uniform_filter(y * y, WINDOW) - mean * mean, 0) < LARGEST_DEVIATION**2


def energies(hr, sr, scale):
    """Returns the high frequencies' energy of two Y channels (H, W) in smooth areas of the first, and their size."""
    area = smooth(hr)
    area[:scale] = area[-scale:] = area[:, :scale] = area[:, -scale:] = False
    return [float(((y - gaussian_filter(y, SIGMA))[area]**2).sum()) for y in (hr, sr)], int(area.sum())


def factors(model, samples):
    """Returns the factor of all images together, and (factor, name) of the one with the largest."""
    from evaluation import y_channel

    totals, found = np.zeros(2), []
    for sample in samples(model.scale):
        hr, lr = sample.load(model.scale)
        sr = np.clip(np.rint(model(lr)), 0, 255)
        (own, other), size = energies(*(y_channel(image.astype(np.float32)).astype(float) for image in (hr, sr)),
                                      model.scale)
        totals += own, other
        if size >= FEWEST:
            found.append((other / own, sample.name))
    return totals[1] / totals[0], max(found)


def parser():
    """Returns the command line of this script."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--images", type=Path, required=True, metavar="DIR", help="high-resolution images")
    p.add_argument("-i", "--indir", type=pretrained.find, nargs="+", required=True, metavar="MODEL")
    return p


def main():
    """Measures each model."""
    args = parser().parse_args()
    from evaluation import find_models, folder_samples
    from super_resolution import load

    for path in (path for folder in args.indir for path in find_models(folder)):
        factor, (largest, name) = factors(load(path), lambda scale: folder_samples(args.images, None, scale,
                                                                                  "replicate"))
        print(f"{path.stem}: {factor:.2f} times the original's; {name}: {largest:.2f}", flush=True)


if __name__ == "__main__":
    main()
