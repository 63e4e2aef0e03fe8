"""Super-resolves images: single ones, those of folders, and those that are named in lists.

    python demo.py -i ./demo -o ./output
    python demo.py -i photo.png -o photo-x3.png --outscale 3
    python demo.py -i ./photos -o ./output --recursive --compare --model ./output/20261123-120000/models/epoch-300.keras
    python demo.py --page -o ./page --model wdsr-b-8-x4

NAME.EXT becomes NAME-sr.EXT in the output folder. Large images are done in tiles, whose size follows from the network.
A file that cannot be done is reported, the others are done, and the exit code is 1. What earlier runs have written is
never an input, and may be replaced; other files are not. --page writes a page that enlarges photos in the browser of
whoever opens it; it needs requirements/export.txt, and once the network.
"""

import argparse
import contextlib
import math
import os
import sys
import tempfile
from pathlib import Path

from choices import FOREIGN_SUFFIXES, INFERENCE_PRECISIONS, MODEL_SCALES
from command_line import add_device_options, number, prepare_backend, run, script_parser, typed_options
from imaging.formats import BY_SUFFIX, CHOICES, SUFFIXES, format_by_suffix

DEFAULT_INPUT = "./demo"
LARGEST_FACTOR = 100
PAGE_OPTIONS = ("page", "outdir", "model", "scale", "overwrite", "gpu_memory_fraction", "debug")
# Variables of a job in an array: its number, how many there are, and the first number.
JOB_ARRAYS = (("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN"),)
BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.1f} of {total:.1f} megapixels [{elapsed}, {remaining} left]"


def parser():
    """Returns the command line of this script."""
    p = script_parser(__doc__)
    p.add_argument("-i", "--indir", dest="inputs", nargs="+", metavar="PATH",
                   help="images, folders of images, and lists: @FILE holds a path on each line, relative to the "
                        f"working directory; lines that begin with # are comments (default: {DEFAULT_INPUT})")
    p.add_argument("-o", "--outdir", type=Path, default="./output", metavar="PATH",
                   help="folder to write to; for one image as input also the name of an image")
    p.add_argument("-m", "--model", metavar="MODEL",
                   help="the name of a shipped model, a .keras file, weights of other people "
                        f"({', '.join(FOREIGN_SUFFIXES)}), or an address hf://NAME/MODEL; by default the shipped "
                        "models for --scale: one for JPEG and other formats with loss, one for the others")
    p.add_argument("--list-models", action="store_true", help="list the shipped models and exit")
    p.add_argument("-s", "--scale", type=int, choices=MODEL_SCALES,
                   help="of the shipped model; by default 4, or the model's own")
    p.add_argument("--outscale", type=number(float, 0, LARGEST_FACTOR, exclusive=True), metavar="F",
                   help="factor between an image and its output: what the model makes is resized to it; by default the "
                        "model's own")
    p.add_argument("-r", "--recursive", action="store_true", help="take the images of subfolders as well")
    p.add_argument("--format", choices=CHOICES,
                   help="of the output; by default that of the input's suffix; for GIF png")
    p.add_argument("--skip-existing", action="store_true",
                   help="leave out images whose output is there and fits the image, the model and the options")
    p.add_argument("--part", type=_part, metavar="I/N",
                   help="do the I-th of N shares of the images, as their names decide; array: the share of this job in "
                        f"an array of jobs ({', '.join(name for name, _, _ in JOB_ARRAYS)})")
    p.add_argument("--overwrite", action="store_true",
                   help="replace files as well that no run of this script has written, or that were changed since")
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
    look.add_argument("--page", action="store_true",
                      help="take no images, and write a page index.html with the model in it, which enlarges photos "
                           "that are dropped on it; best with a small model")
    add_device_options(p)
    return p


def _part(text):
    """Parses I/N, or `array`, as (I, N)."""
    if text == "array":
        return _array_part()
    number_, _, total = text.partition("/")
    if not (number_.isdecimal() and total.isdecimal() and 1 <= int(number_) <= int(total)):
        raise argparse.ArgumentTypeError(f"{text} is no share: give I/N with I from 1 to N, or array")
    return int(number_), int(total)


def _array_part():
    """Returns the share of this job of an array, as its environment says: (I, N)."""
    for name, total, first in JOB_ARRAYS:
        if name in os.environ:
            values = [os.environ.get(variable, "") for variable in (name, total, first)]
            if not all(value.isdecimal() for value in values):
                raise argparse.ArgumentTypeError(f"array: {name}, {total} and {first} are not all set to numbers")
            number_, total, first = map(int, values)
            return number_ - first + 1, total
    names = ", ".join(name for name, _, _ in JOB_ARRAYS)
    raise argparse.ArgumentTypeError(f"array: this is no job of an array, since none of {names} is set")


def parse_args(argv=None):
    """Parses the command line."""
    p = parser()
    args = p.parse_args(argv)
    others = [name for name in typed_options(p, argv) if name not in PAGE_OPTIONS] if args.page else ()
    if others:
        name = "indir" if others[0] == "inputs" else others[0]
        p.error(f"--{name.replace('_', '-')} cannot be combined with --page, which takes no images")
    if args.part and args.compare:
        p.error("--part cannot be combined with --compare, whose page shows all images")
    if args.hr and not args.compare:
        p.error("--hr belongs to --compare")
    if args.outscale and args.compare:
        p.error("--outscale cannot be combined with --compare, which shows what the model makes, at its own scale")
    return args


def main(args):
    """Super-resolves the images of `args.inputs`; returns 1 if any of them failed."""
    if args.list_models:
        return _list_models()
    if args.page:
        return _write_page(args)
    from comparison import PAGE_NAME
    from files import make_folder
    from super_resolution.existing import fitting
    from super_resolution.inputs import Inputs
    from super_resolution.jobs import share

    inputs = Inputs(args.inputs or [DEFAULT_INPUT], args.recursive)
    _tell(inputs.notes(), inputs.failures)
    folder, jobs = _plan(args, inputs)
    if args.part:
        num_images = len(jobs)
        jobs = share(jobs, *args.part)
        print(f"share {args.part[0]} of {args.part[1]}: {len(jobs)} of {num_images} images")
    if args.compare:
        _check_page(folder / PAGE_NAME, args.overwrite)
    make_folder(folder)
    groups = _by_model(args, jobs)
    num_failed, num_done = len(inputs.failures), 0
    is_all_there = args.skip_existing and not args.compare and all(  # the page shows all
        fitting(group, _settings(args, path)) for path, group in groups.items())
    if jobs and not is_all_there:
        failed, num_done = _run(args, folder, groups)
        num_failed += failed
    num_kept = len(inputs.failures) + len(jobs) - num_done - num_failed
    print(f"images: {num_done} super-resolved, {num_kept} already there, {num_failed} failed: {args.outdir}")
    return 1 if num_failed else 0


def _tell(notes, failures):
    """Prints what is worth knowing before the work, and what has failed already."""
    from errors import printable

    for line in notes:
        print(printable(line))
    for text in failures:
        print(printable(f"failed: {text}"), file=sys.stderr)


def _plan(args, inputs):
    """Returns the folder of the outputs, and the `Job`s: what earlier runs have written is left out."""
    from comparison import figure_names
    from errors import UserError
    from super_resolution.inputs import note
    from super_resolution.jobs import earlier_outputs, plan, plan_one

    output, suffix = args.outdir, args.format and f".{args.format}"
    if output.suffix.lower() in SUFFIXES and not output.is_dir():
        if len(inputs.images) != 1 or not inputs.named or inputs.failures:
            raise UserError(f"{output}: is the name of an image, which one input alone can become, an image as well: "
                            "give a folder")
        if suffix and BY_SUFFIX[suffix] != BY_SUFFIX.get(output.suffix.lower()):
            raise UserError(f"{output}: its suffix is not of the format {args.format}: leave out --format")
        return output.parent, plan_one(inputs.images, output)
    left_out = earlier_outputs(inputs.images, output, inputs.named, figure_names)
    if left_out:
        _tell([note("outputs of earlier runs, left out", len(left_out), sorted(path.name for path in left_out))], [])
    return output, plan({path: name for path, name in inputs.images.items() if path not in left_out}, output, suffix)


def _by_model(args, jobs):
    """Returns the jobs of each model as a dict from its path; without --model, the format of a photo chooses it."""
    from super_resolution.loading import default_model, model_path

    if args.model or not jobs:
        return {model_path(args.model, args.scale): jobs}
    groups = {}
    for job in jobs:
        groups.setdefault(default_model(args.scale, job.source), []).append(job)
    return groups


def _settings(args, path):
    """Returns what the outputs of the model at `path` depend on besides their photos."""
    from super_resolution.existing import make_settings

    return make_settings(path, precision=args.precision, self_ensemble=args.self_ensemble, factor=args.outscale,
                         strip=args.strip)


def _run(args, folder, groups):
    """Does the jobs of each model; returns how many failed, and how many are done anew."""
    prepare_backend(args.gpu_memory_fraction, tf32=args.tf32)
    from tqdm import tqdm

    from comparison import ComparisonPage, figure_paths
    from imaging.photos import image_size
    from super_resolution.batch import MEGA

    jobs = [job for group in groups.values() for job in group]
    figures = figure_paths(jobs) if args.compare else {}
    sizes = {job: math.prod(image_size(job.source) or (0, 0)) / MEGA for job in jobs}
    title = " and ".join(path.stem for path in groups)
    num_failed = num_done = 0
    with (ComparisonPage(folder, title) if args.compare else contextlib.nullcontext() as page,
          tqdm(total=sum(sizes.values()), bar_format=BAR, leave=False, disable=None) as bar):
        for path, group in groups.items():
            failed, done = _run_model(args, path, group, sizes, figures, page, bar)
            num_failed += failed
            num_done += done
        if page:
            bar.write(f"to look at: {page.write()}", file=sys.stdout)
    return num_failed, num_done


def _run_model(args, path, jobs, sizes, figures, page, bar):
    """Loads the model at `path` and does its jobs; returns how many failed, and how many are done anew."""
    from comparison import Presentation, find_hr
    from super_resolution import load
    from super_resolution.batch import Batch
    from super_resolution.existing import sort_out

    super_resolve = load(path, args.scale, tile_size=args.tile_size, precision=args.precision,
                         self_ensemble=args.self_ensemble)
    factor, settings = args.outscale or super_resolve.scale, _settings(args, path)
    print(f"{super_resolve.name}: x{super_resolve.scale}" + (f", resized to x{factor:g}" if args.outscale else "")
          + ("" if args.model else f", {len(jobs)} {_kind(jobs)}"))
    todo, kept, failures, again = sort_out(jobs, settings, factor, figures, args.skip_existing, args.overwrite)
    _tell([f"done again, since {reason}: {count}" for reason, count in again.items()],
          [f"{text} (--overwrite)" for text in failures])
    jobs = [job for job in jobs if job in {*todo, *(kept if args.compare else ())}]
    originals = find_hr([job.source for job in jobs], args.hr, super_resolve.scale) if args.hr else {}
    if args.hr:
        print(f"{args.hr}: originals of {len(originals)} of {len(jobs)} images")
    observer = Presentation(page, super_resolve, figures, originals) if page else None
    batch = Batch(super_resolve, bar, observer, kept, args.debug, factor, settings, args.strip)
    batch.run(jobs, [sizes[job] for job in jobs])
    return batch.num_failed + len(failures), batch.num_done


def _kind(jobs):
    """Returns the formats of the jobs' photos in words, such as 'JPEG and WebP images'."""
    names = sorted({form.name if form else "other" for form in (format_by_suffix(job.source) for job in jobs)})
    return f"{' and '.join(names)} image{'s' if len(jobs) > 1 else ''}"


def _write_page(args):
    """Writes the page that enlarges photos in a browser."""
    from comparison import PAGE_NAME
    from comparison.enlarging import fetch_runtime, write_enlarging_page

    page = args.outdir / PAGE_NAME
    _check_page(page, args.overwrite)
    prepare_backend(args.gpu_memory_fraction, tf32=args.tf32)
    from super_resolution.exporting import export
    from super_resolution.loading import model_path

    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.onnx"
        note, facts = export(model_path(args.model, args.scale), model)
        write_enlarging_page(page, fetch_runtime(), model.read_bytes(), facts)
    print(f"{note}\nto enlarge photos: {page}")
    return 0


def _check_page(page, overwrite):
    from errors import UserError
    from imaging.marks import is_foreign

    if is_foreign(page) and not overwrite:
        raise UserError(f"{page}: is there and no run has written it: choose another folder, or --overwrite")


def _list_models():
    import pretrained

    for name, entry in sorted(pretrained.models().items()):
        facts = [f"x{entry['scale']}", entry["network"], f"{entry['parameters']:,} parameters",
                 *(f"{images} {psnr:.2f} dB" for images, (psnr, _) in entry["results"].items()),
                 *(f"the default for {kind} images" for kind in entry["default_for"])]
        print(f"{name}: {', '.join(facts)}")
    return 0


def command():
    """Does what the command line says and returns the exit code; it is `sr-demo` where the suite is installed."""
    return run(main, parse_args())


if __name__ == "__main__":
    sys.exit(command())
