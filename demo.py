"""Super-resolves every image of a folder.

    python demo.py -i ./demo -o ./output
    python demo.py -i ./demo -o ./output --model ./output/20261123-120000/models/epoch-300-psnr-29.1234.keras

NAME.EXT becomes NAME-sr.EXT in the output folder.
"""

import sys
from pathlib import Path

from options import add_device_options, describe, run, script_parser

DEFAULT_MODEL = Path(__file__).parent / "pretrained" / "wdsr-b-8-x4.keras"


def parser():
    """Returns the command line of this script."""
    p = script_parser(__doc__)
    p.add_argument("-i", "--indir", type=Path, default="./demo", metavar="DIR", help="folder of images")
    p.add_argument("-o", "--outdir", type=Path, default="./output", metavar="DIR", help="folder to write to")
    p.add_argument("-m", "--model", type=Path, default=DEFAULT_MODEL, metavar="FILE", help=".keras file of a model")
    add_device_options(p)
    return p


def main(args):
    """Super-resolves the images of `args.indir`; returns 1 if any of them failed."""
    from files import make_folder
    from imaging.image_files import find_images
    from options import UserError

    paths = find_images(args.indir)
    make_folder(args.outdir)

    from devices import limit_gpu_memory

    limit_gpu_memory(args.gpu_memory_fraction)
    from model import load_model
    from super_resolution import SuperResolver

    super_resolve = SuperResolver(load_model(args.model))
    print(f"{args.model.name}: x{super_resolve.scale}")
    failed = 0
    for path in paths:
        try:
            target = args.outdir / f"{path.stem}-sr{path.suffix}"
            before, after = _super_resolve_file(super_resolve, path, target)
            print(f"{path} {before} -> {target} {after}", flush=True)
        except (UserError, OSError) as error:
            failed += 1
            print(f"failed: {describe(error)}", file=sys.stderr)
    print(f"{len(paths) - failed} images super-resolved, {failed} failed: {args.outdir}")
    return 1 if failed else 0


def _super_resolve_file(super_resolve, path, target):
    """Writes the super-resolved image; returns the sizes before and after, as text."""
    import numpy as np

    from imaging.image_files import read_image_with_alpha, to_uint8, write_image
    from imaging.resize import imresize

    lr, alpha = read_image_with_alpha(path)
    sr = to_uint8(super_resolve(lr))
    if alpha is not None:
        sr = np.dstack([sr, imresize(alpha, super_resolve.scale)])
    write_image(target, sr)
    return tuple(f"{image.shape[1]}x{image.shape[0]}" for image in (lr, sr))


if __name__ == "__main__":
    sys.exit(run(main, parser().parse_args()))
