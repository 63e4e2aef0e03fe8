"""Measures PSNR, SSIM and the distance in VGG54 features of models on a folder of images.

    python benchmarks/vgg_distance.py --images Set14 --lr-images Set14_LR_bicubic --pair-by order \\
        --vgg-weights vgg19.h5 model.keras
    python benchmarks/vgg_distance.py --dataset ./PHOTOS_BIN --vgg-weights vgg19.h5 model.keras

The distance is the mean squared difference of the features, divided by 12.75 each, of the central 224 x 224 pixels
(outputs rounded); PSNR and SSIM are those of `evaluate.py` by the benchmark protocol. Bicubic interpolation is the
first row.
"""

import argparse
import itertools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from choices import PAIRINGS
from evaluation import (
    Bicubic,
    Evaluation,
    Protocol,
    choose_metrics,
    dataset_samples,
    folder_samples,
    load_models,
)
from files import write_csv
from imaging.image_files import to_uint8
from training.perceptual import PerceptualValidation, load_features


def parser():
    """Returns the command line of this script."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    images = p.add_mutually_exclusive_group(required=True)
    images.add_argument("--images", type=Path, help="folder of high-resolution images")
    images.add_argument("--dataset", type=Path, help="data set, whose validation images are used")
    p.add_argument("--lr-images", type=Path, help="made by MATLAB's bicubic where not given")
    p.add_argument("--pair-by", choices=PAIRINGS, default="name", help="how --lr-images are paired")
    p.add_argument("--vgg-weights", default="imagenet", help="imagenet or a VGG19 file of Keras (.h5)")
    p.add_argument("--scale", type=int, default=4)
    p.add_argument("-o", "--outfile", type=Path, help="CSV file to write")
    p.add_argument("models", type=Path, nargs="*")
    return p


def main():
    """Prints a row for each model, and writes them as CSV where asked."""
    args = parser().parse_args()
    samples = (folder_samples(args.images, args.lr_images, args.scale, "replicate", args.pair_by == "order")
               if args.images
               else dataset_samples(args.dataset, "bicubic", args.scale))
    features = {name: load_features(name, args.vgg_weights, "give its path with --vgg-weights")
                for name in ("vgg54", "vgg22")}
    compare = {name: PerceptualValidation(network, samples, args.scale) for name, network in features.items()}
    evaluation = Evaluation(lambda scale: samples, Protocol.named("benchmark"), choose_metrics(["ssim"]))
    rows = []
    for enlarge in itertools.chain([Bicubic(args.scale, "replicate")], load_models(args.models)):
        scores = evaluation.result(enlarge).scores
        row = {"model": Path(enlarge.name).name, "psnr": round(scores.mean("psnr"), 4),
               "ssim": round(scores.mean("ssim"), 4)}

        def rounded(lr, enlarge=enlarge):
            return to_uint8(enlarge(lr)).astype("float32")

        row |= {name: round(distance(rounded)["val_vgg54"], 5) for name, distance in compare.items()}
        rows.append(row)
        print(row, flush=True)
    if args.outfile:
        write_csv(args.outfile, list(rows[0]), rows)


if __name__ == "__main__":
    main()
