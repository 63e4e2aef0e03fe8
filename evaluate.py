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
from functools import partial
from pathlib import Path

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
    add_part_option,
    add_vgg_weights,
    add_white_level,
    id_range,
    prepare_backend,
    run,
    script_parser,
)
from errors import UserError


def parser():
    """Returns the command line of this script."""
    p = script_parser(__doc__)
    p.add_argument("-i", "--indir", type=pretrained.find, nargs="+", metavar="PATH",
                   help="folders of models, searched with their subfolders, models, and names of shipped ones")
    p.add_argument("-o", "--outfile", type=Path, default="./eval.json", metavar="FILE",
                   help="JSON file to write: model file to PSNR, null where that is not a number")
    p.add_argument("--details", type=Path, metavar="FILE", help="JSON or CSV file to write: figures of every image")
    add_part_option(p, "the models, in their order")
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
    args.protocol = args.protocol or ("benchmark" if args.images else "original")
    for name, value in PROTOCOLS[args.protocol].items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    return args


def _check_sr_options(p, args):
    """Refuses options that have no meaning for images that are there."""
    if args.scale is None or len(args.images) > 1:
        p.error("--sr-images are of one folder of --images, and of one --scale: give them")
    for name in ("part", "lr_images", "white_level", "compare_with", "complexity", "save_images", "self_ensemble"):
        if getattr(args, name):
            p.error(f"--{name.replace('_', '-')} belongs to models, not to --sr-images")


def main(args):
    """Writes the figures of each model; returns 1 if a model or an image failed."""
    from evaluation import Failures, Protocol, find_models, report
    from imaging.image_files import range_warnings

    paths = list(dict.fromkeys(path for folder in args.indir or [] for path in find_models(folder)))
    if args.part:
        paths = _share(paths, *args.part)
    if args.compare_with and args.compare_with not in paths:
        paths.append(args.compare_with)
    _check_outputs(args.outfile, args.details)
    prepare_backend(args.gpu_memory_fraction, tf32=args.tf32)
    narrow = {}  # images whose white level may be missing
    protocol = Protocol(args.channels, args.border, args.rounded)
    print(f"protocol: {protocol}{', self-ensemble' if args.self_ensemble else ''}"
          f"{f', {args.precision}' if args.precision != 'float32' else ''}")
    failures = Failures(args.debug)
    evaluations, border = _evaluations(args, protocol, narrow, failures.report)
    enlargers = _enlargers(args, paths, border if args.bicubic else None, failures.report)
    results = list(_results(enlargers, evaluations, args.complexity, failures.report))
    for line in range_warnings(narrow):
        print(line, file=sys.stderr)
    if not any(result.is_model for result in results):
        places = ", ".join(map(str, args.indir or [args.sr_images]))
        raise UserError(f"{places}: none of its {f'{len(paths)} models' if paths else 'images'} could be evaluated")
    print(report.table(results, args.table))
    report.write_summary(args.outfile, results, _root(args))
    if args.details:
        settings = {**protocol._asdict(), "self_ensemble": args.self_ensemble,
                    **({"precision": args.precision} if args.precision != "float32" else {})}
        report.write_details(args.details, results, settings)
    if args.compare_with:
        print(report.differences(results, str(args.compare_with)))
        if args.save_images:
            from comparison import write_difference_figures

            for path in write_difference_figures(results, str(args.compare_with), args.save_images):
                print(f"figure: {path}")
    print(report.best(results, args.best_by))
    return 1 if failures.lines else 0


def _share(paths, number, total):
    """Returns the models of share `number` of `total`: a run of them, so that the shares' tables follow each other."""
    if total > len(paths):
        raise UserError(f"{total} shares of {len(paths)} models would leave some without one: choose at most "
                        f"{len(paths)}")
    own = paths[len(paths) * (number - 1) // total:len(paths) * number // total]
    print(f"share {number} of {total}: {len(own)} of {len(paths)} models")
    return own


def _evaluations(args, protocol, narrow, on_failure):
    """Returns an `Evaluation` for each set of images, and the border mode of their bicubic versions."""
    from datasets.degraded import find_downgrade
    from evaluation import (
        Evaluation,
        choose_metrics,
        dataset_samples,
        folder_samples,
        image_sets,
        output_samples,
        saving,
    )
    from imaging.image_files import read_image

    metrics = choose_metrics([name for name in METRICS_ON_REQUEST if getattr(args, name)], args.vgg_weights)
    if not args.images:
        downgrade = find_downgrade(args.downgrade, args.downgrade_strength, args.downgrade_order, seed=0)
        samples_of = partial(dataset_samples, args.dataset, downgrade, ids=args.validation_images)
        on_output = saving(args.save_images) if args.save_images else None
        return [Evaluation(samples_of, protocol, metrics, on_failure, on_output)], "symmetric"  # as DIV2K's were made
    sets = image_sets(args.images, args.sets, args.lr_images, args.pair_by == "order")
    if args.sr_images:
        samples_of = partial(output_samples, sets[0].hr, args.sr_images, by_order=args.pair_by == "order",
                             advice=PAIRING_ADVICE)
        return [Evaluation(samples_of, protocol, metrics, on_failure)], args.border_mode
    read = partial(read_image, white_level=args.white_level, narrow=narrow)
    evaluations = []
    for images in sets:
        name = images.name if len(sets) > 1 else None
        samples_of = partial(folder_samples, images.hr, images.lr, border=args.border_mode, by_order=images.by_order,
                             read=read, advice=PAIRING_ADVICE)
        on_output = saving(args.save_images / name if name else args.save_images) if args.save_images else None
        evaluations.append(Evaluation(samples_of, protocol, metrics, on_failure, on_output, name))
    return evaluations, args.border_mode


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


def _enlargers(args, paths, bicubic_border, on_failure):
    """Yields each model that can be loaded, or --sr-images, and with a `bicubic_border` bicubic interpolation."""
    from evaluation import Existing, load_models, with_bicubic

    if args.sr_images:
        return [Existing(args.sr_images, args.scale)]
    networks = load_models(paths, args.self_ensemble, on_failure, args.precision)
    if args.scale is not None:
        networks = _of_scale(networks, args.scale, on_failure)
    return networks if bicubic_border is None else with_bicubic(networks, bicubic_border)


def _of_scale(networks, scale, on_failure):
    """Yields the networks for `scale`; the others have failed."""
    for network in networks:
        if network.scale == scale:
            yield network
        else:
            text = f"{network.name}: is a model for scale {network.scale}, not for --scale {scale}"
            on_failure(network.name, UserError(text))


def _results(enlargers, evaluations, output, on_failure):
    """Yields the `Result` of each that can be applied, on each set of images, and prints the models' as they come."""
    from evaluation import complexity_of, peak_memory, report, reporting, reset_peak_memory

    for enlarge in enlargers:
        complexity = None
        for evaluation in evaluations:
            result = None
            if output:
                reset_peak_memory()
            with reporting(enlarge.name, on_failure):
                result = evaluation.result(enlarge)
            if result is None:
                continue
            if output and result.is_model:
                complexity = complexity or complexity_of(enlarge.model, enlarge.scale, output)
                result = result._replace(complexity=complexity, peak_mib=peak_memory())
            if result.is_model:
                print(report.line(result), flush=True)
            yield result


def command():
    """Does what the command line says and returns the exit code; it is `sr-evaluate` where the suite is installed."""
    return run(main, parse_args())


if __name__ == "__main__":
    sys.exit(command())
