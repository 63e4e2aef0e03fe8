"""Evaluates every model below a folder, on the validation images of DIV2K or on any folder of images.

    python evaluate.py --dataset ./DIV2K_BIN -i ./output/20261123-120000/models -o eval.json
    python evaluate.py --images ./Set5 -i ./pretrained --ssim --bicubic

The protocol says how images are compared: original (RGB, no border removed, neither clipped nor rounded; with
--dataset), div2k (RGB, scale + 6 pixels of border removed, rounded) or benchmark (Y channel, scale pixels of border
removed, rounded; with --images). Each part of it can be set by itself.
"""

import argparse
import functools
import sys
from pathlib import Path

from choices import BORDER_MODES, MODEL_SUFFIXES, SCALES
from command_line import (
    add_dataset_options,
    add_device_options,
    id_range,
    prepare_backend,
    run,
    script_parser,
)
from errors import UserError, describe

PROTOCOLS = {
    "original": {"channels": "rgb", "border": "0", "rounded": False},
    "div2k": {"channels": "rgb", "border": "scale+6", "rounded": True},
    "benchmark": {"channels": "y", "border": "scale", "rounded": True},
}


def parser():
    """Returns the command line of this script."""
    p = script_parser(__doc__)
    p.add_argument("-i", "--indir", type=Path, required=True, metavar="DIR",
                   help="folder of models, searched with its subfolders, or one model")
    p.add_argument("-o", "--outfile", type=Path, default="./eval.json", metavar="FILE",
                   help="JSON file to write: model file to PSNR, null where that is not a number")
    p.add_argument("--details", type=Path, metavar="FILE", help="JSON or CSV file to write: figures of every image")
    p.add_argument("-s", "--scale", type=int, choices=SCALES, help="the models' scale; by default each model's own")
    p.add_argument("--self-ensemble", action="store_true", help="mean over 8 flips and rotations, 8 times the work")
    p.add_argument("--bicubic", action="store_true", help="add bicubic interpolation to the table")

    images = p.add_argument_group("images")
    add_dataset_options(images)
    images.add_argument("--validation-images", type=id_range, metavar="A-B", help="ids; by default all that are there")
    images.add_argument("--images", type=Path, metavar="DIR",
                        help="high-resolution images to evaluate on, instead of --dataset")
    images.add_argument("--lr-images", type=Path, metavar="DIR",
                        help="their low-resolution versions; by default made as MATLAB's imresize does")
    images.add_argument("--border-mode", choices=BORDER_MODES, default="replicate",
                        help="border of the bicubic images that are made: of older or newer MATLAB")

    protocol = p.add_argument_group("protocol")
    protocol.add_argument("--protocol", choices=PROTOCOLS, help="by default original with --dataset, else benchmark")
    protocol.add_argument("--channels", choices=("rgb", "y"), help="what is compared")
    protocol.add_argument("--border", type=_border, metavar="N",
                          help="pixels removed on every side: a number, scale or scale+N")
    protocol.add_argument("--rounded", action=argparse.BooleanOptionalAction, help="round the output to whole numbers")
    protocol.add_argument("--ssim", action="store_true", help="compute SSIM as well")
    add_device_options(p)
    return p


def parse_args(argv=None):
    """Parses the command line; the parts of the protocol that were not typed come from `--protocol`."""
    p = parser()
    args = p.parse_args(argv)
    if args.lr_images and not args.images:
        p.error("--lr-images belongs to --images")
    if args.details and args.details.suffix not in (".json", ".csv"):
        p.error(f"--details {args.details} is not supported: choose a .json or .csv file")
    args.protocol = args.protocol or ("benchmark" if args.images else "original")
    for name, value in PROTOCOLS[args.protocol].items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    return args


def main(args):
    """Writes the PSNR of each model; returns 1 if any of them failed."""
    from files import make_folder

    paths = _find_models(args.indir)
    for path in filter(None, (args.outfile, args.details)):
        make_folder(path.parent)
        if path.is_dir():
            raise UserError(f"{path}: is a folder, not a file to write")
    prepare_backend(args.gpu_memory_fraction)

    from evaluation import ImageCache, Protocol, report

    protocol = Protocol(args.channels, args.border, args.rounded)
    print(f"protocol: {protocol}{', self-ensemble' if args.self_ensemble else ''}")
    results, failed, super_resolve, cache = [], 0, None, ImageCache()
    samples_of = functools.cache(functools.partial(_samples, args))  # of a scale, for all its models
    for path in paths:
        try:
            super_resolve = _load(path, args, super_resolve)
            if args.bicubic and super_resolve.scale not in {result.scale for result in results if not result.path}:
                results.append(_evaluate(None, args, protocol, super_resolve, samples_of, cache))
            results.append(_evaluate(path, args, protocol, super_resolve, samples_of, cache))
            print(results[-1].line(), flush=True)
        except UserError as error:
            failed += 1
            print(f"failed: {describe(error)}", file=sys.stderr)
    if not any(result.path for result in results):
        raise UserError(f"{args.indir}: none of its {len(paths)} models could be evaluated")
    print(report.table(results, args.ssim))
    report.write(results, args, protocol)
    return 1 if failed else 0


def _border(text):
    """Parses a border: 'scale', a number, or a sum of them."""
    if not all(term == "scale" or term.isdecimal() for term in text.split("+")):
        raise argparse.ArgumentTypeError(f"{text} is not a border: give a number, scale or scale+6")
    return text


def _find_models(indir):
    if indir.is_file():
        return [indir]
    if not indir.is_dir():
        raise UserError(f"{indir}: there is no such folder")
    paths = sorted(path for path in indir.rglob("*")
                   if path.suffix.lower() in MODEL_SUFFIXES and not path.name.startswith("."))
    if not paths:
        raise UserError(f"{indir}: there are no models in it ({', '.join(MODEL_SUFFIXES)})")
    return paths


def _load(path, args, super_resolve):
    """Returns a `SuperResolver` for the model in `path`: `super_resolve`, where that has the same network."""
    import weights
    from super_resolution import SuperResolver

    model = weights.load(path)
    if super_resolve is None or not super_resolve.take_over(model):
        super_resolve = SuperResolver(model, self_ensemble=args.self_ensemble)
    if args.scale not in (None, super_resolve.scale):
        raise UserError(f"{path}: is a model for scale {super_resolve.scale}, not for --scale {args.scale}")
    return super_resolve


def _samples(args, scale):
    """Returns the images to evaluate models of a scale on."""
    from evaluation import dataset_samples, folder_samples

    if args.images:
        return folder_samples(args.images, args.lr_images, scale, args.border_mode)
    return dataset_samples(args.dataset, args.downgrade, scale, args.validation_images)


def _evaluate(path, args, protocol, super_resolve, samples_of, cache):
    """Returns the `Result` of a model; of bicubic interpolation at its scale where `path` is None."""
    from tqdm import tqdm

    from evaluation import Bicubic, measure
    from evaluation.report import Result

    scale = super_resolve.scale
    enlarge = super_resolve if path else Bicubic(scale, args.border_mode if args.images else "symmetric")
    scores = measure(enlarge, samples_of(scale), protocol, args.ssim, cache, lambda samples: tqdm(
        samples, desc=path.name if path else "bicubic", unit="image", leave=False, disable=None))
    return Result(path, scale, super_resolve.model.count_params() if path else 0, scores, args.ssim)


if __name__ == "__main__":
    sys.exit(run(main, parse_args()))
