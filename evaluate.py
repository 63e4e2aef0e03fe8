"""Evaluates every model below a folder on the validation images of DIV2K.

    python evaluate.py --dataset ./DIV2K_BIN -i ./output/20261123-120000/models -o eval.json

PSNR in dB on full-size images: RGB, no border removed, neither clipped nor rounded; the mean over the images.
"""

import sys
from pathlib import Path

from options import SCALES, add_dataset_options, add_device_options, describe, id_range, run, script_parser


def parser():
    """Returns the command line of this script."""
    p = script_parser(__doc__)
    add_dataset_options(p)
    p.add_argument("-i", "--indir", type=Path, required=True, metavar="DIR",
                   help="folder of .keras models, searched with its subfolders")
    p.add_argument("-o", "--outfile", type=Path, default="./eval.json", metavar="FILE",
                   help="JSON file to write: model file to PSNR, null where that is not a number")
    p.add_argument("-s", "--scale", type=int, choices=SCALES, help="the models' scale; by default each model's own")
    p.add_argument("--validation-images", type=id_range, metavar="A-B", help="ids; by default all that are there")
    add_device_options(p)
    return p


def main(args):
    """Writes the PSNR of each model; returns 1 if any of them failed."""
    from devices import limit_gpu_memory
    from files import make_folder
    from options import UserError

    paths = _find_models(args.indir)
    make_folder(args.outfile.parent)
    if args.outfile.is_dir():
        raise UserError(f"{args.outfile}: is a folder: --outfile is the JSON file to write")
    limit_gpu_memory(args.gpu_memory_fraction)
    results, failed, super_resolve = {}, 0, None
    for path in paths:
        try:
            super_resolve = _load(path, args, super_resolve)
            results[path] = _evaluate(path, args, super_resolve)
            print(f"PSNR = {results[path]:.4f} for model {path}", flush=True)
        except UserError as error:
            failed += 1
            print(f"failed: {describe(error)}", file=sys.stderr)
    if not results:
        raise UserError(f"{args.indir}: none of its {len(paths)} models could be evaluated")
    _write_results(results, args)
    return 1 if failed else 0


def _find_models(indir):
    from options import UserError

    if not indir.is_dir():
        raise UserError(f"{indir}: there is no such folder")
    paths = sorted(path for path in indir.rglob("*.keras") if not path.name.startswith("."))
    if not paths:
        raise UserError(f"{indir}: there are no .keras models in it")
    return paths


def _load(path, args, super_resolve):
    """Returns a `SuperResolver` for the model in `path`: `super_resolve`, where that has the same network."""
    from model import load_model
    from options import UserError
    from super_resolution import SuperResolver

    model = load_model(path)
    if super_resolve is None or not super_resolve.take_over(model):
        super_resolve = SuperResolver(model)
    if args.scale not in (None, super_resolve.scale):
        raise UserError(f"{path}: is a model for scale {super_resolve.scale}, not for --scale {args.scale}")
    return super_resolve


def _evaluate(path, args, super_resolve):
    """Returns the mean PSNR of a model over the validation images."""
    from tqdm import tqdm

    from datasets.div2k import find_pairs
    from evaluation import pair_psnr

    pairs = find_pairs(args.dataset, "valid", super_resolve.scale, args.downgrade, args.validation_images)
    progress = tqdm(pairs, desc=path.name, unit="image", leave=False, disable=None)
    return sum(pair_psnr(super_resolve, pair) for pair in progress) / len(pairs)


def _write_results(results, args):
    import json
    import math

    from files import write_text

    numbers = {str(path.relative_to(args.indir)): psnr if math.isfinite(psnr) else None
               for path, psnr in results.items()}
    write_text(args.outfile, json.dumps(numbers, indent=2) + "\n")
    finite = [path for path, psnr in results.items() if math.isfinite(psnr)]
    if finite:
        best = max(finite, key=results.get)
        print(f"Best PSNR = {results[best]:.4f} for model {best}")
    else:
        print("No model has a finite PSNR")


if __name__ == "__main__":
    sys.exit(run(main, parser().parse_args()))
