"""Super-resolves every image of a folder.

    python demo.py -i ./demo -o ./output
    python demo.py -i ./photos -o ./output --recursive --compare --model ./output/20261123-120000/models/epoch-300.keras

NAME.EXT becomes NAME-sr.EXT in the output folder. Large images are done in tiles, whose size follows from the network.
A file that cannot be done is reported, the others are done, and the exit code is 1.
"""

import contextlib
import math
import sys
from pathlib import Path

from choices import FOREIGN_SUFFIXES, INFERENCE_PRECISIONS, SCALES
from command_line import add_device_options, number, prepare_backend, run, script_parser
from imaging.formats import CHOICES

BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.1f} of {total:.1f} megapixels [{elapsed}, {remaining} left]"


def parser():
    """Returns the command line of this script."""
    p = script_parser(__doc__)
    p.add_argument("-i", "--indir", type=Path, default="./demo", metavar="DIR", help="folder of images")
    p.add_argument("-o", "--outdir", type=Path, default="./output", metavar="DIR", help="folder to write to")
    p.add_argument("-m", "--model", metavar="MODEL",
                   help="the name of a shipped model, a .keras file, or weights of other people "
                        f"({', '.join(FOREIGN_SUFFIXES)}); by default the shipped model for --scale")
    p.add_argument("-s", "--scale", type=int, choices=SCALES,
                   help="of the shipped model; by default 4, or the model's own")
    p.add_argument("-r", "--recursive", action="store_true", help="take the images of subfolders as well")
    p.add_argument("--format", choices=CHOICES, help="of the output; by default that of the input's suffix")
    p.add_argument("--skip-existing", action="store_true", help="leave out images whose output is there")
    p.add_argument("--strip", action="store_true",
                   help="write no metadata (EXIF, XMP, texts, resolution); colour profiles stay")
    p.add_argument("--self-ensemble", action="store_true",
                   help="mean over 8 flips and rotations: better, and 8 times the work")
    p.add_argument("--precision", choices=INFERENCE_PRECISIONS, default="float32", help="of the computation")
    p.add_argument("--tile-size", type=number(int, 8), metavar="N", help="size of the tiles in input pixels")

    look = p.add_argument_group("to look at")
    look.add_argument("--compare", action="store_true",
                      help="write a figure NAME-compare.png for each image and a page index.html with sliders, bicubic "
                           "against the network")
    look.add_argument("--hr", type=Path, metavar="DIR",
                      help="originals for --compare, paired by name, with PSNR and SSIM")
    add_device_options(p)
    return p


def parse_args(argv=None):
    """Parses the command line."""
    p = parser()
    args = p.parse_args(argv)
    if args.hr and not args.compare:
        p.error("--hr belongs to --compare")
    return args


def main(args):
    """Super-resolves the images of `args.indir`; returns 1 if any of them failed."""
    from comparison import figure_paths
    from files import make_folder
    from imaging.image_files import find_images
    from super_resolution.batch import plan, without_outputs

    paths = find_images(args.indir, args.recursive)
    jobs = plan(paths, args.indir, args.outdir, args.format and f".{args.format}")
    jobs = without_outputs(jobs, figure_paths(jobs).values())
    make_folder(args.outdir)
    num_images = len(jobs)
    if args.skip_existing and not args.compare:  # the page shows all
        jobs = [job for job in jobs if not job.target.exists()]
    num_failed, num_done = _run(args, jobs) if jobs else (0, 0)
    num_kept = num_images - num_done - num_failed
    print(f"images: {num_done} super-resolved, {num_kept} already there, {num_failed} failed: {args.outdir}")
    return 1 if num_failed else 0


def _run(args, jobs):
    """Loads the model and does the jobs; returns how many failed, and how many are done anew."""
    prepare_backend(args.gpu_memory_fraction)
    from tqdm import tqdm

    from comparison import ComparisonPage, Presentation, figure_paths, find_hr
    from imaging.photos import image_size
    from super_resolution import load
    from super_resolution.batch import MEGA, Batch

    super_resolve = load(args.model, args.scale, tile_size=args.tile_size, precision=args.precision,
                         self_ensemble=args.self_ensemble)
    print(f"{super_resolve.name}: x{super_resolve.scale}")
    originals = {}
    if args.hr:
        originals = find_hr([job.source for job in jobs], args.hr, super_resolve.scale)
        print(f"{args.hr}: originals of {len(originals)} of {len(jobs)} images")
    sizes = [math.prod(image_size(job.source) or (0, 0)) / MEGA for job in jobs]
    with (ComparisonPage(args.outdir, super_resolve.name) if args.compare else contextlib.nullcontext() as page,
          tqdm(total=sum(sizes), bar_format=BAR, leave=False, disable=None) as bar):
        observer = Presentation(page, super_resolve, figure_paths(jobs), originals) if page else None
        batch = Batch(super_resolve, bar, observer, args.skip_existing, args.debug, args.strip)
        batch.run(jobs, sizes)
        if page:
            bar.write(f"to look at: {page.write()}", file=sys.stdout)
    return batch.num_failed, batch.num_done


if __name__ == "__main__":
    sys.exit(run(main, parse_args()))
