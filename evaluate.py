"""Evaluates every model below a folder, on the validation images of DIV2K or on any folder of images.

    python evaluate.py --dataset ./DIV2K_BIN -i ./output/20261123-120000/models -o eval.json
    python evaluate.py --images ./Set5 -i ./pretrained --ssim --bicubic

The protocol says how images are compared: original (RGB, no border removed, neither clipped nor rounded; with
--dataset), div2k (RGB, scale + 6 pixels of border removed, rounded) or benchmark (Y channel, scale pixels of border
removed, rounded; with --images). Each part of it can be set by itself.

A model or an image that fails is reported, the others are evaluated, and the exit code is 1.
"""

import argparse
import os
import sys
from functools import partial
from pathlib import Path

import pretrained
from choices import BORDER_MODES, CHANNELS, METRICS_ON_REQUEST, PAIRINGS, PROTOCOLS, SCALES
from command_line import (
    add_dataset_options,
    add_device_options,
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
    p.add_argument("-i", "--indir", type=_models, required=True, metavar="DIR",
                   help="folder of models, searched with its subfolders, one model, or the name of a shipped one")
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
    add_device_options(p)
    return p


def parse_args(argv=None):
    """Parses the command line; the parts of the protocol that were not typed come from `--protocol`."""
    p = parser()
    args = p.parse_args(argv)
    if args.lr_images and not args.images:
        p.error("--lr-images belongs to --images")
    if args.white_level and not args.images:
        p.error("--white-level belongs to --images: arrays have 8 bits")
    if args.pair_by == "order" and not args.lr_images:
        p.error("--pair-by order belongs to --lr-images")
    if args.details and args.details.suffix not in (".json", ".csv"):
        p.error(f"--details {args.details} is not supported: choose a .json or .csv file")
    args.protocol = args.protocol or ("benchmark" if args.images else "original")
    for name, value in PROTOCOLS[args.protocol].items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    return args


def main(args):
    """Writes the figures of each model; returns 1 if a model or an image failed."""
    from datasets.degraded import find_downgrade
    from evaluation import (
        Evaluation,
        Failures,
        Protocol,
        choose_metrics,
        dataset_samples,
        find_models,
        folder_samples,
        report,
    )
    from imaging.image_files import range_warnings, read_image

    paths = find_models(args.indir)
    _check_outputs(args.outfile, args.details)
    prepare_backend(args.gpu_memory_fraction)
    narrow = {}  # images whose white level may be missing
    protocol = Protocol(args.channels, args.border, args.rounded)
    print(f"protocol: {protocol}{', self-ensemble' if args.self_ensemble else ''}")
    if args.images:
        border = args.border_mode
        read = partial(read_image, white_level=args.white_level, narrow=narrow)
        samples_of = partial(folder_samples, args.images, args.lr_images, border=border,
                             by_order=args.pair_by == "order", read=read)
    else:
        downgrade = find_downgrade(args.downgrade, args.downgrade_strength, args.downgrade_order, seed=0)
        border = "symmetric"  # as DIV2K's images were made
        samples_of = partial(dataset_samples, args.dataset, downgrade, ids=args.validation_images)
    failures = Failures(args.debug)
    metrics = choose_metrics([name for name in METRICS_ON_REQUEST if getattr(args, name)])
    evaluation = Evaluation(samples_of, protocol, metrics, failures.report)
    enlargers = _enlargers(paths, args.scale, args.self_ensemble, border if args.bicubic else None, failures.report)
    results = list(_results(enlargers, evaluation, failures.report))
    for line in range_warnings(narrow):
        print(line, file=sys.stderr)
    if not any(result.is_model for result in results):
        raise UserError(f"{args.indir}: none of its {len(paths)} models could be evaluated")
    print(report.table(results))
    report.write_summary(args.outfile, results, args.indir if args.indir.is_dir() else args.indir.parent)
    if args.details:
        settings = {**protocol._asdict(), "self_ensemble": args.self_ensemble}
        report.write_details(args.details, results, settings)
    print(report.best(results))
    return 1 if failures.lines else 0


def _models(text):
    """Parses a path, or the name of a shipped model where nothing of this name is there."""
    is_name = not os.path.lexists(text) and text in pretrained.names()
    return pretrained.path_of(text) if is_name else Path(text)


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


def _enlargers(paths, scale, self_ensemble, bicubic_border, on_failure):
    """Yields each model that can be loaded and, with a `bicubic_border`, bicubic interpolation at their scales."""
    from evaluation import load_models, with_bicubic

    networks = load_models(paths, self_ensemble, on_failure)
    if scale is not None:
        networks = _of_scale(networks, scale, on_failure)
    return networks if bicubic_border is None else with_bicubic(networks, bicubic_border)


def _of_scale(networks, scale, on_failure):
    """Yields the networks for `scale`; the others have failed."""
    for network in networks:
        if network.scale == scale:
            yield network
        else:
            text = f"{network.name}: is a model for scale {network.scale}, not for --scale {scale}"
            on_failure(network.name, UserError(text))


def _results(enlargers, evaluation, on_failure):
    """Yields the `Result` of each that can be applied, and prints the models' as they come."""
    from evaluation import report, reporting

    for enlarge in enlargers:
        result = None
        with reporting(enlarge.name, on_failure):
            result = evaluation.result(enlarge)
        if result is not None:
            if result.is_model:
                print(report.line(result), flush=True)
            yield result


if __name__ == "__main__":
    sys.exit(run(main, parse_args()))
