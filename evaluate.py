"""Evaluates every model below a folder, on the validation images of DIV2K or on any folder of images.

    python evaluate.py --dataset ./DIV2K_BIN -i ./output/20261123-120000/models -o eval.json
    python evaluate.py --images ./Set5 -i ./pretrained --ssim --bicubic
    python evaluate.py --images Set5 Set14 --sets ./sets.toml -i wdsr-b-8-x4 --ssim --bicubic --table markdown
    python evaluate.py --images ./Set5 --sr-images ./RCAN_Set5 --scale 4

The protocol says how images are compared: original (RGB, no border removed, neither clipped nor rounded; with
--dataset), div2k (RGB, scale + 6 pixels of border removed, rounded), benchmark (Y channel, scale pixels of border
removed, rounded; with --images) or ntire (RGB, else as benchmark). Each part of it can be set by itself. VGG54 (of the
central 224 pixels), LPIPS and DISTS are always of RGB images; the last two need requirements/metrics.txt.

A file of --sets has a table for each set, such as [Set14], with the folders hr and lr, relative to the file, and
pair_by = "order" where that is right. --sr-images are measured as they are, whoever made them.

A model or an image that fails is reported, the others are evaluated, and the exit code is 1.
"""

import argparse
import sys
from functools import cache, partial
from itertools import chain
from pathlib import Path

from tqdm import tqdm

import pretrained
from choices import (
    BORDER_MODES,
    CHANNELS,
    INFERENCE_PRECISIONS,
    METRICS_ON_REQUEST,
    MODEL_SCALES,
    PAIRINGS,
    PROTOCOLS,
    TABLES,
)
from command_line import (
    PAIRING_ADVICE,
    add_dataset_options,
    add_device_options,
    add_engine_option,
    add_sharing_options,
    add_vgg_weights,
    add_white_level,
    check_sharing,
    id_range,
    prepare_backend,
    run,
    script_parser,
)
from errors import UserError

BAR = "{percentage:3.0f}%|{bar}| {n:.1f} of {total:.0f} models [{elapsed}, {remaining} left]"


def parser():
    """Returns the command line of this script."""
    p = script_parser(__doc__)
    p.add_argument("-i", "--indir", type=pretrained.find, nargs="+", metavar="PATH",
                   help="folders of models, searched with their subfolders, models, and names of shipped ones")
    p.add_argument("-o", "--outfile", type=Path, default="./eval.json", metavar="FILE",
                   help="JSON file to write: model file to PSNR, null where that is not a number")
    p.add_argument("--details", type=Path, metavar="FILE", help="JSON or CSV file to write: figures of every image")
    p.add_argument("-s", "--scale", type=int, choices=MODEL_SCALES,
                   help="the models' scale; by default each model's own")
    p.add_argument("--table", choices=TABLES, default="text", help="how the table is printed")
    p.add_argument("--complexity", nargs="?", type=_size, const=(1280, 720), metavar="WxH",
                   help="add the multiply-adds and activations of the models for outputs of this size (1280x720), and "
                        "the peak of memory while the images are evaluated")
    p.add_argument("--compare-with", type=_model, metavar="MODEL",
                   help="compare each model with this one, image by image, with a 95 %% interval of the mean; with "
                        "--save-images also in figures of the images that differ most")
    p.add_argument("--best-by", choices=("psnr", *METRICS_ON_REQUEST), default="psnr",
                   metavar="METRIC", help="metric of the last line")
    p.add_argument("--save-images", type=Path, metavar="DIR", help="folder to write the outputs to, as IMAGE_MODEL.png")
    p.add_argument("--self-ensemble", action="store_true", help="mean over 8 flips and rotations, 8 times the work")
    p.add_argument("--precision", choices=INFERENCE_PRECISIONS, default="float32", help="of the models' computation")
    add_engine_option(p)
    p.add_argument("--bicubic", action="store_true", help="add bicubic interpolation to the table")

    images = p.add_argument_group("images")
    add_dataset_options(images)
    images.add_argument("--validation-images", type=id_range, metavar="A-B",
                        help="ids; by default all that are there; without a folder of validation images they "
                             "are taken from the training images")
    images.add_argument("--images", nargs="+", metavar="DIR",
                        help="high-resolution images to evaluate on, instead of --dataset: folders, or names of --sets")
    images.add_argument("--sets", type=Path, metavar="FILE", help="TOML file that says where test sets are")
    images.add_argument("--lr-images", type=Path, metavar="DIR",
                        help="their low-resolution versions, of several sets in folders of their names; by default "
                             "made as MATLAB's imresize does")
    images.add_argument("--sr-images", type=Path, metavar="DIR",
                        help="super-resolved images to measure instead of models, with --images and --scale")
    images.add_argument("--pair-by", choices=PAIRINGS, default="name",
                        help="which low-resolution image belongs to which: by their names, or by their order")
    images.add_argument("--border-mode", choices=BORDER_MODES, default="replicate",
                        help="border of the bicubic images that are made: of older or newer MATLAB")
    add_white_level(images, "--images")

    protocol = p.add_argument_group("protocol")
    protocol.add_argument("--protocol", choices=PROTOCOLS, help="by default original with --dataset, else benchmark")
    protocol.add_argument("--channels", choices=CHANNELS, help="what is compared")
    protocol.add_argument("--border", type=_border, metavar="N",
                          help="pixels removed on every side: a number, scale or scale+N")
    protocol.add_argument("--rounded", action=argparse.BooleanOptionalAction, help="round the output to whole numbers")
    for name in METRICS_ON_REQUEST:
        protocol.add_argument(f"--{name}", action="store_true", help=f"compute {name.upper()} as well")
    add_vgg_weights(protocol)
    add_sharing_options(p.add_argument_group("to share the models among processes"), "the models, in their order",
                        "models, or where they are few the images")
    add_device_options(p)
    return p


def parse_args(argv=None):
    """Parses the command line; the parts of the protocol that were not typed come from `--protocol`."""
    p = parser()
    args = p.parse_args(argv)
    for name in ("lr_images", "sr_images", "sets"):
        if getattr(args, name) and not args.images:
            p.error(f"--{name.replace('_', '-')} belongs to --images")
    if bool(args.sr_images) == bool(args.indir):
        p.error("give either models with --indir, or images with --sr-images")
    if args.sr_images:
        _check_sr_options(p, args)
    if args.best_by in METRICS_ON_REQUEST and not getattr(args, args.best_by):
        p.error(f"--best-by {args.best_by} needs --{args.best_by}")
    if args.white_level and not args.images:
        p.error("--white-level belongs to --images: arrays have 8 bits")
    if args.pair_by == "order" and not (args.lr_images or args.sr_images):
        p.error("--pair-by order belongs to --lr-images and --sr-images")
    if args.details and args.details.suffix not in (".json", ".csv"):
        p.error(f"--details {args.details} is not supported: choose a .json or .csv file")
    check_sharing(p, args)
    args.protocol = args.protocol or ("benchmark" if args.images else "original")
    for name, value in PROTOCOLS[args.protocol].items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    return args


def _check_sr_options(p, args):
    """Refuses options that have no meaning for images that are there."""
    if args.scale is None or len(args.images) > 1:
        p.error("--sr-images are of one folder of --images, and of one --scale: give them")
    for name in ("part", "devices", "ray", "lr_images", "white_level", "compare_with", "complexity", "save_images",
                 "self_ensemble"):
        if getattr(args, name) not in (None, False):
            p.error(f"--{name.replace('_', '-')} belongs to models, not to --sr-images")


def main(args):
    """Writes the figures of each model; returns 1 if a model or an image failed."""
    from evaluation import Collected, Failures, Model, Part, find_models, report
    from imaging.image_files import range_warnings

    paths = list(dict.fromkeys(path for folder in args.indir or [] for path in find_models(folder)))
    if args.part:
        paths = _share(paths, *args.part)
    if args.compare_with and args.compare_with not in paths:
        paths.append(args.compare_with)
    _check_outputs(args.outfile, args.details)
    plan = _plan(args)
    print(f"protocol: {plan.protocol}{', self-ensemble' if args.self_ensemble else ''}"
          f"{f', {args.precision}' if args.precision != 'float32' else ''}")
    failures = Failures(args.debug)
    engine = _engine(args)
    models = [Model(path, number, plan, args.scale, args.self_ensemble, args.precision, engine, args.complexity)
              for path in paths or [args.sr_images] for number in range(plan.num_sets)]
    collected = Collected(failures, lambda result: tqdm.write(report.line(result)))
    evaluator = cache(partial(_evaluator, args, plan, failures))  # other processes may do without it
    if args.devices or args.ray is not None:
        _evaluate_shared(args, models, collected.add)
    else:
        for model in models:
            collected.add([evaluator().piece(model, Part(1, 1))])
    for line in range_warnings(collected.narrow):
        print(line, file=sys.stderr)
    results = collected.results(models)
    if not results:
        places = ", ".join(map(str, args.indir or [args.sr_images]))
        raise UserError(f"{places}: none of its {f'{len(paths)} models' if paths else 'images'} could be evaluated")
    if args.bicubic:
        results = evaluator().with_bicubic(results)
    _report(args, plan, results)
    return 1 if failures.lines else 0


def _report(args, plan, results):
    """Prints and writes the results."""
    from evaluation import report

    print(report.table(results, args.table))
    report.write_summary(args.outfile, results, _root(args))
    if args.details:
        settings = {**plan.protocol._asdict(), "self_ensemble": args.self_ensemble,
                    **({"precision": args.precision} if args.precision != "float32" else {})}
        report.write_details(args.details, results, settings)
    if args.compare_with:
        print(report.differences(results, str(args.compare_with)))
        if args.save_images:
            from comparison import write_difference_figures

            for path in write_difference_figures(results, str(args.compare_with), args.save_images):
                print(f"figure: {path}")
    print(report.best(results, args.best_by))


def _share(paths, number, total):
    """Returns the models of share `number` of `total`: a run of them, so that the shares' tables follow each other."""
    if total > len(paths):
        raise UserError(f"{total} shares of {len(paths)} models would leave some without one: choose at most "
                        f"{len(paths)}")
    from evaluation import run_of

    own = run_of(paths, number, total)
    print(f"share {number} of {total}: {len(own)} of {len(paths)} models")
    return own


def _plan(args):
    """Returns the `Plan` that the options describe."""
    from evaluation import DataSet, Plan, Protocol, image_sets

    plan = Plan(Protocol(args.channels, args.border, args.rounded), sr_images=args.sr_images, border=args.border_mode,
                white_level=args.white_level, metrics=[name for name in METRICS_ON_REQUEST if getattr(args, name)],
                vgg_weights=args.vgg_weights, save_images=args.save_images, advice=PAIRING_ADVICE)
    if args.images:
        return plan._replace(sets=image_sets(args.images, args.sets, args.lr_images, args.pair_by == "order"))
    downgrade = args.downgrade, args.downgrade_strength, args.downgrade_order, 0  # the seed of whatever is random
    return plan._replace(dataset=DataSet(args.dataset, downgrade, args.validation_images))


def _engine(args):
    """Returns what computes the networks, if there are any; the workers of a cluster choose it by themselves."""
    if args.ray is not None or args.sr_images:
        return args.engine
    from super_resolution.engines import choose_engine

    engine = choose_engine(args.engine, args.precision)
    if engine == "openvino":
        print("networks are computed by OpenVINO")
    return engine


def _evaluate_shared(args, models, take):
    """Has other processes evaluate the models; `take` takes what they have done."""
    import sharing
    from evaluation import shares_of

    prepare = partial(prepare_backend, args.gpu_memory_fraction, tf32=args.tf32)
    with tqdm(total=len(models), bar_format=BAR, leave=False, disable=None) as bar:
        if args.devices:
            sharing.run_on_devices(args.devices, prepare, shares_of(models, len(args.devices)), bar, take)
        else:
            sharing.run_on_cluster(args.ray, prepare, lambda number: list(chain(*shares_of(models, number))),
                                   bar, take)


def _evaluator(args, plan, failures):
    """Returns the `Evaluator` of this process."""
    from evaluation import Evaluator

    prepare_backend(args.gpu_memory_fraction, tf32=args.tf32)
    return Evaluator(plan, failures.tell, lambda samples, name: tqdm(
        samples, desc=Path(name).name, unit="image", leave=False, disable=None))


def _root(args):
    """Returns the folder from which the models of the JSON file are seen; of several, each has its whole path."""
    if args.sr_images:
        return args.sr_images.parent
    if len(args.indir) > 1:
        return Path()
    return args.indir[0] if args.indir[0].is_dir() else args.indir[0].parent


def _model(text):
    """Parses a model: a file, or the name of a shipped one."""
    path = pretrained.find(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{text} is no model: give a file, or {', '.join(pretrained.names())}")
    return path


def _size(text):
    """Parses WxH."""
    sides = text.split("x")
    if len(sides) != 2 or not all(side.isdecimal() and 0 < int(side) <= 65_536 for side in sides):
        raise argparse.ArgumentTypeError(f"{text} is no size: give width and height, such as 1280x720")
    return tuple(map(int, sides))


def _border(text):
    """Parses a border: 'scale', a number, or a sum of them."""
    if not all(term == "scale" or term.isdecimal() for term in text.split("+")):
        raise argparse.ArgumentTypeError(f"{text} is not a border: give a number, scale or scale+6")
    return text


def _check_outputs(*paths):
    """Checks that files can be written to these paths, of which some are None, before there is any work."""
    from files import make_folder

    for path in filter(None, paths):
        if path.is_dir():
            raise UserError(f"{path}: is a folder, not a file to write")
        if not path.exists() or path.is_file():  # a device or a pipe is written to where it is
            make_folder(path.parent)


def command():
    """Does what the command line says and returns the exit code; it is `sr-evaluate` where the suite is installed."""
    return run(main, parse_args())


if __name__ == "__main__":
    sys.exit(command())
