"""Super-resolves every image of a folder.

    python demo.py -i ./demo -o ./output
    python demo.py -i ./demo -o ./output --model ./output/20261123-120000/models/epoch-300-psnr-29.1234.keras

NAME.EXT becomes NAME-sr.EXT in the output folder. Large images are done in tiles, whose size follows from the network.
"""

import sys
from pathlib import Path

from options import FOREIGN_SUFFIXES, UserError, add_device_options, describe, number, run, script_parser

DEFAULT_MODEL = Path(__file__).parent / "pretrained" / "wdsr-b-8-x4.keras"
FORMATS = ("png", "jpg", "webp", "tif", "bmp")


def parser():
    """Returns the command line of this script."""
    p = script_parser(__doc__)
    p.add_argument("-i", "--indir", type=Path, default="./demo", metavar="DIR", help="folder of images")
    p.add_argument("-o", "--outdir", type=Path, default="./output", metavar="DIR", help="folder to write to")
    p.add_argument("-m", "--model", type=Path, default=DEFAULT_MODEL, metavar="FILE",
                   help=f"a .keras file, or weights of other people ({', '.join(FOREIGN_SUFFIXES)})")
    p.add_argument("-r", "--recursive", action="store_true", help="take the images of subfolders as well")
    p.add_argument("--format", choices=FORMATS, help="of the output; by default that of the input")
    p.add_argument("--skip-existing", action="store_true", help="leave out images whose output is there")
    p.add_argument("--self-ensemble", action="store_true",
                   help="mean over 8 flips and rotations: better, and 8 times the work")
    p.add_argument("--tile-size", type=number(int, 8), metavar="N", help="size of the tiles in input pixels")
    add_device_options(p)
    return p


def main(args):
    """Super-resolves the images of `args.indir`; returns 1 if any of them failed."""
    from files import make_folder
    from imaging.image_files import find_images

    targets = _targets(find_images(args.indir, args.recursive), args)
    make_folder(args.outdir)
    todo = {path: target for path, target in targets.items() if not (args.skip_existing and target.exists())}
    num_skipped = len(targets) - len(todo)

    from devices import limit_gpu_memory, report_devices

    limit_gpu_memory(args.gpu_memory_fraction)
    report_devices()
    from super_resolution import load

    super_resolve = load(args.model, tile_size=args.tile_size, self_ensemble=args.self_ensemble)
    print(f"{args.model.name}: x{super_resolve.scale}")
    failed = 0
    for path, target in todo.items():
        try:
            before, after = _super_resolve_file(super_resolve, path, target)
            print(f"{path} {before} -> {target} {after}", flush=True)
        except UserError as error:
            failed += 1
            print(f"failed: {describe(error)}", file=sys.stderr)
    print(f"{len(todo) - failed} images super-resolved, {num_skipped} were there, {failed} failed: {args.outdir}")
    return 1 if failed else 0


def _targets(paths, args):
    """Returns the output path of each input path, or raises where two inputs would write the same file."""
    targets, sources = {}, {}
    for path in paths:
        suffix = f".{args.format}" if args.format else path.suffix
        target = (args.outdir / path.relative_to(args.indir)).with_name(f"{path.stem}-sr{suffix}")
        if target in sources:
            raise UserError(f"{sources[target]} and {path} would both be written to {target}: rename one, or leave "
                            "out --format")
        targets[path], sources[target] = target, path
    return targets


def _super_resolve_file(super_resolve, path, target):
    """Writes the super-resolved image; returns the sizes before and after, as text."""
    import numpy as np
    from tqdm import tqdm

    from imaging.image_files import read_image_with_alpha, write_image

    lr, alpha = read_image_with_alpha(path)
    if alpha is not None:
        lr = np.dstack([lr, alpha])
    with tqdm(total=lr.shape[0] * lr.shape[1], desc=path.name, unit="pixel", unit_scale=True, leave=False,
              disable=None) as bar:
        sr = super_resolve.enlarge(lr, bar.update)
    write_image(target, sr)
    return tuple(f"{image.shape[1]}x{image.shape[0]}" for image in (lr, sr))


if __name__ == "__main__":
    sys.exit(run(main, parser().parse_args()))
