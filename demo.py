"""Super-resolves images: single ones, those of folders, and those that are named in lists.

    python demo.py -i ./demo -o ./output
    python demo.py -i photo.png -o photo-x3.png --outscale 3
    python demo.py -i ./photos -o ./output --recursive --compare --model ./output/20261123-120000/models/epoch-300.keras
    python demo.py --page -o ./page --model wdsr-b-8-x4

NAME.EXT becomes NAME-sr.EXT in the output folder. Large images are done in tiles, whose size follows from the network.
A file that cannot be done is reported, the others are done, and the exit code is 1. What earlier runs have written is
never an input, and may be replaced; other files are not. --page writes a page that enlarges photos in the browser of
whoever opens it; it needs requirements/export.txt, and once the network. --ray needs requirements/ray.txt.
"""

import contextlib
import math
import sys
import tempfile
from functools import partial, reduce
from pathlib import Path

from choices import FOREIGN_SUFFIXES, INFERENCE_PRECISIONS, MODEL_SCALES
from command_line import (
    add_device_options,
    add_engine_option,
    add_sharing_options,
    check_sharing,
    number,
    prepare_backend,
    run,
    script_parser,
    typed_options,
)
from imaging.formats import BY_SUFFIX, CHOICES, SUFFIXES, format_by_suffix

DEFAULT_INPUT = "./demo"
LARGEST_FACTOR = 100
PAGE_OPTIONS = ("page", "outdir", "model", "scale", "overwrite", "gpu_memory_fraction", "debug")
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
    p.add_argument("--overwrite", action="store_true",
                   help="replace files as well that no run of this script has written, or that were changed since")
    p.add_argument("--strip", action="store_true",
                   help="write no metadata (EXIF, XMP, texts, resolution); colour profiles stay")
    p.add_argument("--self-ensemble", action="store_true",
                   help="mean over 8 flips and rotations: better, and 8 times the work")
    p.add_argument("--precision", choices=INFERENCE_PRECISIONS, default="float32", help="of the computation")
    add_engine_option(p)
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
    add_sharing_options(p.add_argument_group("to share a folder among processes"), "the images, as their names decide",
                        "images")
    add_device_options(p)
    return p


def parse_args(argv=None):
    """Parses the command line."""
    p = parser()
    args = p.parse_args(argv)
    others = [name for name in typed_options(p, argv) if name not in PAGE_OPTIONS] if args.page else ()
    if others:
        name = "indir" if others[0] == "inputs" else others[0]
        p.error(f"--{name.replace('_', '-')} cannot be combined with --page, which takes no images")
    check_sharing(p, args, {"compare": "whose page shows all images"})
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
    groups = _by_work(args, jobs)
    num_failed, num_done = len(inputs.failures), 0
    is_all_there = args.skip_existing and not args.compare and all(  # the page shows all
        fitting(group, work.settings()) for work, group in groups.items())
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


def _by_work(args, jobs):
    """Returns a dict from `Work` to its jobs; without --model, the format of a photo chooses the model."""
    from super_resolution.loading import default_model, model_path
    from super_resolution.work import Work

    groups = {}
    if args.model or not jobs:
        groups[model_path(args.model, args.scale)] = jobs
    else:
        for job in jobs:
            groups.setdefault(default_model(args.scale, job.source), []).append(job)
    return {Work(path, args.scale, args.tile_size, args.precision, args.self_ensemble, args.outscale, args.strip,
                 args.skip_existing, args.overwrite, args.debug, args.engine): group for path, group in groups.items()}


def _run(args, folder, groups):
    """Does the jobs of each `Work`; returns how many failed, and how many are done anew."""
    is_shared = args.devices or args.ray is not None
    if not is_shared:
        prepare_backend(args.gpu_memory_fraction, tf32=args.tf32)
    from tqdm import tqdm

    from imaging.photos import image_size
    from super_resolution.batch import MEGA

    sizes = {job: math.prod(image_size(job.source) or (0, 0)) / MEGA for group in groups.values() for job in group}
    with tqdm(total=sum(sizes.values()), bar_format=BAR, leave=False, disable=None) as bar:
        return (_run_shared if is_shared else _run_here)(args, folder, groups, sizes, bar)


def _run_shared(args, _, groups, sizes, bar):
    """Has other processes do the jobs; returns as `_run`."""
    import sharing
    from super_resolution.jobs import share
    from super_resolution.work import Outcome

    prepare = partial(prepare_backend, args.gpu_memory_fraction, tf32=args.tf32)
    outcomes = []
    if args.devices:
        number_, total = args.part or (1, 1)
        num_devices = len(args.devices)
        shares = [[(work, jobs, [sizes[job] for job in jobs]) for work, group in groups.items()
                   for jobs in [share(group, number_ + total * i, total * num_devices)]] for i in range(num_devices)]
        sharing.run_on_devices(args.devices, prepare, shares, bar, outcomes.append)
    else:
        works = [(work, jobs, [sizes[job] for job in jobs]) for work, jobs in groups.items()]
        sharing.run_on_cluster(args.ray, prepare, lambda _: works, bar, outcomes.append)
    outcome = reduce(Outcome.plus, outcomes, Outcome())
    _tell_sorted(outcome.again, outcome.refused)
    return outcome.num_failed + len(outcome.refused), outcome.num_done


def _run_here(args, folder, groups, sizes, bar):
    """Does the jobs in this process; returns as `_run`."""
    from comparison import ComparisonPage, figure_paths

    figures = figure_paths([job for group in groups.values() for job in group]) if args.compare else {}
    title = " and ".join(work.model.stem for work in groups)
    num_failed = num_done = 0
    with ComparisonPage(folder, title) if args.compare else contextlib.nullcontext() as page:
        for work, group in groups.items():
            failed, done = _run_model(args, work, group, sizes, figures, page, bar)
            num_failed += failed
            num_done += done
        if page:
            bar.write(f"to look at: {page.write()}", file=sys.stdout)
    return num_failed, num_done


def _run_model(args, work, jobs, sizes, figures, page, bar):
    """Loads a model and does its jobs; returns how many failed, and how many are done anew."""
    from comparison import Presentation, find_hr
    from super_resolution.batch import Batch
    from super_resolution.existing import sort_out
    from super_resolution.work import ENGINE_NOTES

    super_resolve = work.load()
    factor, settings = args.outscale or super_resolve.scale, work.settings()
    print(f"{super_resolve.name}: x{super_resolve.scale}" + (f", resized to x{factor:g}" if args.outscale else "")
          + ENGINE_NOTES[super_resolve.engine]
          + ("" if args.model else f", {len(jobs)} {_kind(jobs)}"))
    todo, kept, refused, again = sort_out(jobs, settings, factor, figures, args.skip_existing, args.overwrite)
    _tell_sorted(again, refused)
    jobs = [job for job in jobs if job in {*todo, *(kept if args.compare else ())}]
    originals = find_hr([job.source for job in jobs], args.hr, super_resolve.scale) if args.hr else {}
    if args.hr:
        print(f"{args.hr}: originals of {len(originals)} of {len(jobs)} images")
    observer = Presentation(page, super_resolve, figures, originals) if page else None
    batch = Batch(super_resolve, bar, observer, kept, args.debug, factor, settings, args.strip)
    batch.run(jobs, [sizes[job] for job in jobs])
    return batch.num_failed + len(refused), batch.num_done


def _tell_sorted(again, refused):
    _tell([f"done again, since {reason}: {count}" for reason, count in again.items()],
          [f"{text} (--overwrite)" for text in refused])


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
