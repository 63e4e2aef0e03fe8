"""Evaluates every shipped model again, and compares the figures with those in pretrained/models.json.

    python benchmarks/shipped_models.py --testsets ./testsets
    python benchmarks/shipped_models.py --testsets ./testsets --models photo-x4 --write

The folder holds Set5, Set14, and their bicubic low-resolution images as LR_bicubic/Set5/X4. What JPEG and noise leave
of a model is measured on Set14's: JPEG as Pillow writes it, or Gaussian noise of a standard deviation of 10, rounded.
PSNR and SSIM are those of `evaluate.py` by the benchmark protocol. A bicubic row is printed first, for comparison.
--write puts the figures, the number of parameters and the file's SHA-256 into the list; otherwise one that differs by
more than 0.005 dB or 0.0002 is an error.
"""

import argparse
import hashlib
import io
import json
import sys
import zlib
from functools import partial
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
from PIL import Image

import pretrained
from evaluation import Bicubic, Evaluation, Protocol, Sample, choose_metrics, folder_samples, load_model
from files import write_text

TOLERANCES = (0.005, 0.0002)  # dB, SSIM


class Changed(NamedTuple):
    """A `Sample` whose low-resolution image is changed by a function of the image and its name."""

    sample: Sample
    change: object

    name = property(lambda self: self.sample.name)
    hr = property(lambda self: self.sample.hr)
    lr = property(lambda self: self.sample.lr)

    def load(self, scale):
        """Returns `hr` and the changed `lr`, (H, W, 3) uint8."""
        hr, lr = self.sample.load(scale)
        return hr, self.change(lr, self.name)


def jpeg(quality):
    """Returns a function that compresses an image."""
    def change(image, _):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=quality)
        return np.asarray(Image.open(buffer))

    return change


def noise(image, name):
    """Returns the image with Gaussian noise, which the name decides."""
    values = image + np.random.default_rng(zlib.crc32(name.encode())).normal(0, 10, image.shape)
    return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)


CONDITIONS = {  # name: test set, and what is done to its low-resolution images
    "Set5": ("Set5", None),
    "Set14": ("Set14", None),
    "Set14 JPEG 90": ("Set14", jpeg(90)),
    "Set14 JPEG 75": ("Set14", jpeg(75)),
    "Set14 JPEG 50": ("Set14", jpeg(50)),
    "Set14 noise 10": ("Set14", noise),
}


def samples(testsets, condition, scale):
    """Returns the images of a condition."""
    name, change = CONDITIONS[condition]
    # The names of Set14's low-resolution images are others than those of its images, in the same order.
    found = folder_samples(testsets / name, testsets / "LR_bicubic" / name, scale, "replicate", name == "Set14")
    return found if change is None else [Changed(sample, change) for sample in found]


def figures(evaluations, enlarge):
    """Returns [PSNR, SSIM] by condition."""
    results = {}
    for condition, evaluation in evaluations.items():
        scores = evaluation.result(enlarge).scores
        results[condition] = [round(float(scores.mean("psnr")), 4), round(float(scores.mean("ssim")), 5)]
    return results


def differences(entry, found):
    """Returns texts of what differs between an entry of the list and what was found."""
    texts = [f"{key} is {found[key]}, listed {entry[key]}" for key in ("parameters", "sha256")
             if entry[key] != found[key]]
    if set(entry["results"]) != set(found["results"]):
        texts.append(f"listed are figures on {', '.join(entry['results']) or 'nothing'}")
    texts += [f"{condition}: {values}, listed {entry['results'][condition]}"
              for condition, values in found["results"].items() if condition in entry["results"]
              and any(abs(new - old) > tolerance
                      for new, old, tolerance in zip(values, entry["results"][condition], TOLERANCES, strict=True))]
    return texts


def parser():
    """Returns the command line of this script."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--testsets", type=Path, required=True, metavar="DIR")
    p.add_argument("--models", nargs="+", metavar="NAME", help="by default all")
    p.add_argument("--write", action="store_true", help="put the figures into the list")
    return p


def main():
    """Prints the figures of each model; returns 1 if one differs from the list."""
    args = parser().parse_args()
    models = pretrained.models()
    faults = []
    for scale in sorted({models[name]["scale"] for name in args.models or models}):
        evaluations = {condition: Evaluation(partial(samples, args.testsets, condition), Protocol.named("benchmark"),
                                             choose_metrics(["ssim"])) for condition in CONDITIONS}
        print(f"bicubic x{scale}: {figures(evaluations, Bicubic(scale, 'replicate'))}", flush=True)
        for name in [name for name in args.models or models if models[name]["scale"] == scale]:
            path = pretrained.path_of(name)
            network = load_model(path)
            found = {"parameters": network.num_parameters, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                     "results": figures(evaluations, network)}
            print(f"{name}: {found['results']}", flush=True)
            faults += [f"{name}: {text}" for text in differences(models[name], found)]
            models[name] |= found
    if args.write:
        write_text(pretrained.LIST, json.dumps(models, indent=1) + "\n")
        return 0
    print("\n".join(faults) or "all as listed")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
