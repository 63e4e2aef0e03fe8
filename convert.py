"""Prepares images for training, as numpy arrays in DIV2K's layout, and models from other people's weights.

    python convert.py div2k -i ./DIV2K -o ./DIV2K_BIN --scales 2 4 --downgrade bicubic unknown
    python convert.py -i ./DIV2K -o ./DIV2K_BIN numpy
    python convert.py -i ./DIV2K/DIV2K_train_HR -o ./DIV2K/DIV2K_train_LR_bicubic bicubic
    python convert.py -i ./DIV2K/DIV2K_train_LR_bicubic -o ./DIV2K/DIV2K_train_LR_bicubic_jpeg_90 --jpeg-quality 90 jpeg
    python convert.py -i ./DIV2K/DIV2K_valid_HR -o ./DIV2K/DIV2K_valid_LR_photo --seed 0 photo
    python convert.py -i ./photos ./more-photos -o ./PHOTOS_BIN dataset
    python convert.py dataset -i ./sharp --lr-images ./camera --scales 4 -o ./PAIRS_BIN
    python convert.py -i ./wdsr-b-32-x4.h5 -o ./wdsr-b-32-x4.keras weights
    python convert.py weights -i ./span.keras -o ./span.safetensors
    python convert.py mix -i ./smooth.keras ./textured.keras --weight 0.7 -o ./between.keras
    python convert.py colours -i ./generator-epoch-150.keras -o ./generator.keras
    python convert.py float16 -i ./epoch-300.keras -o ./small.keras
    python convert.py export -i wdsr-b-8-x4 -o ./wdsr-b-8-x4.onnx

div2k: DIV2K's archives are fetched into --indir and become arrays; what was fetched is kept, and a fetch that was cut
off goes on. numpy: every image below a folder becomes an array of the same name. bicubic: low-resolution images as
MATLAB's imresize makes them. photo, photo2: low-resolution images with mild or strong blur, noise and JPEG, fixed by
--seed and the image's name. jpeg: every image becomes a JPEG. dataset: folders of photos become a whole data set, with
bicubic low-resolution images, or with your own (--lr-images). A photo's name and --seed decide whether it is for
validation, so that it stays what it is when others come.
What is there is made again only where its source has another size or time than it had. weights: other people's weights,
from PyTorch (.safetensors, .pt, .pth) or Keras (.h5), become a model for evaluate.py and demo.py; nothing in the file
is executed. With a .safetensors file as --outdir, a model becomes weights for PyTorch. mix: a model between two of the
same network. colours: a GAN's generator gets the colours of its input, where adversarial training has shifted them.
float16: a model file of less than half the size, which is loaded in float32. export: a model for ONNX Runtime (.onnx),
OpenVINO (.xml), LiteRT (.tflite) or TensorFlow (a folder without a suffix: SavedModel), for images of any size; it is
run on a photo and compared before it is there. It needs requirements/export.txt.
"""

import argparse
import os
import sys
from pathlib import Path

import pretrained
from choices import BORDER_MODES, DEGRADATIONS, PAIRINGS, SCALES, USUAL_SCALES, WDSR_PADDINGS
from command_line import (
    LARGEST_SEED,
    PAIRING_ADVICE,
    add_white_level,
    folder_part,
    number,
    run,
    script_parser,
    typed_options,
)
from errors import UserError
from files import make_folder

COMMANDS = ("div2k", "numpy", "jpeg", "bicubic", *DEGRADATIONS, "dataset", "weights", "mix", "colours", "float16",
            "export")
MODEL_COMMANDS = ("weights", "mix", "colours", "float16", "export")
COMMAND_OPTIONS = {  # options that only some commands take
    "jpeg_quality": ("jpeg",),
    "scales": ("div2k", "bicubic", *DEGRADATIONS, "dataset"),
    "border": ("bicubic", "dataset"),
    "lr_images": ("dataset",),
    "pair_by": ("dataset",),
    "downgrade": ("div2k", "dataset"),
    "address": ("div2k",),
    "validation_fraction": ("dataset",),
    "seed": (*DEGRADATIONS, "dataset"),
    "downgrade_strength": DEGRADATIONS,
    "downgrade_order": ("photo",),
    "white_level": ("numpy", "jpeg", "bicubic", *DEGRADATIONS, "dataset"),
    "num_workers": ("div2k", "numpy", "jpeg", "bicubic", *DEGRADATIONS, "dataset"),
    "padding": ("weights",),
    "tanh": ("weights",),
    "res_scaling": ("weights",),
    "weight": ("mix",),
    "fp16": ("export",),
    "opset": ("export",),
    "licence": ("export",),
}


def parser():
    """Returns the command line of this script."""
    p = script_parser(__doc__)
    p.add_argument("command", choices=COMMANDS, help="what to make")
    p.add_argument("-i", "--indir", type=Path, nargs="+", required=True, metavar="PATH",
                   help="folder of images, searched with its subfolders; dataset takes several; weights, colours, "
                        "float16 and export take a model's file or the name of a shipped one, mix two")
    p.add_argument("-o", "--outdir", type=Path, required=True, metavar="PATH",
                   help="folder to write to; weights, mix, colours, float16: a .keras file; weights also "
                        ".safetensors, for PyTorch; export: a file that ends in .onnx, .xml or .tflite, or a folder")
    p.add_argument("--num-workers", type=number(int, 1), default=os.cpu_count(), metavar="N", help="processes")
    p.add_argument("--jpeg-quality", type=number(int, 1, 100), default=75, metavar="Q", help="jpeg: quality")
    p.add_argument("--scales", type=int, nargs="+", choices=SCALES, default=list(USUAL_SCALES), metavar="S",
                   help=f"div2k, bicubic, photo, photo2, dataset: {', '.join(map(str, SCALES))} or several")
    p.add_argument("--border", choices=BORDER_MODES, default="symmetric",
                   help="bicubic, dataset: border of newer MATLAB (DIV2K) or older (Set5, Set14, B100)")
    p.add_argument("--validation-fraction", type=number(float, 0, 0.9), default=0.1, metavar="F",
                   help="dataset: share of the photos kept for validation, about")
    p.add_argument("--lr-images", type=Path, metavar="DIR",
                   help="dataset: your own low-resolution images, of the one scale in --scales, named as the "
                        "high-resolution ones of --indir or after them; by default bicubic ones are made")
    p.add_argument("--pair-by", choices=PAIRINGS, default="name",
                   help="dataset: which of --lr-images belongs to which image: by their names, or by their order")
    p.add_argument("--downgrade", type=folder_part, nargs="+", metavar="NAME",
                   help="div2k: bicubic (default), unknown, mild, difficult, wild or several; dataset: what "
                        "--lr-images are called in the data set (default: own), as --downgrade of train.py takes it")
    p.add_argument("--address", metavar="URL", help="div2k: where its archives are, if not at their own place")
    p.add_argument("--seed", type=number(int, 0, LARGEST_SEED), default=0, metavar="N",
                   help="dataset: chooses the photos kept for validation; photo, photo2: of the random choices")
    p.add_argument("--downgrade-strength", type=number(float, 0, 3), default=1.0, metavar="F",
                   help="photo, photo2: 0 (plain bicubic) to 3")
    p.add_argument("--downgrade-order", type=int, choices=(1, 2), default=1,
                   help="photo: 2 does the chain of blur, resizing, noise and JPEG twice")
    add_white_level(p, "all commands but weights and div2k")
    p.add_argument("--padding", choices=WDSR_PADDINGS,
                   help="weights: padding of WDSR's outer convolutions; by default as the file says, otherwise same")
    p.add_argument("--tanh", action=argparse.BooleanOptionalAction,
                   help="weights: EDSR ends in tanh; by default as the file says, otherwise not")
    p.add_argument("--res-scaling", type=number(float, 0, exclusive=True), metavar="F",
                   help="weights: factor on each residual branch; by default as the file says, otherwise 1")
    p.add_argument("--weight", type=number(float, 0, 1), default=0.5, metavar="F",
                   help="mix: share of the second model; the first has the rest")
    p.add_argument("--fp16", action="store_true", help="export: numbers of 16 bits, in half the size")
    p.add_argument("--opset", type=number(int, 13, 18), default=17, metavar="N",
                   help="export: version of ONNX's operators")
    p.add_argument("--licence", metavar="TEXT",
                   help="export: licence of the model, which the file carries; of a shipped model its own")
    return p


def parse_args(argv=None):
    """Parses the command line; an option of another command is an error."""
    p = parser()
    argv = _command_first(sys.argv[1:] if argv is None else argv)
    args = p.parse_args(argv)
    typed = typed_options(p, argv)
    for name in typed:
        commands = COMMAND_OPTIONS.get(name, COMMANDS)
        if args.command not in commands:
            p.error(f"--{name.replace('_', '-')} is an option of {' and '.join(commands)}, not of {args.command}")
    if args.command == "mix":
        if len(args.indir) != 2:
            p.error("mix takes two models as --indir")
    elif len(args.indir) > 1 and (args.command != "dataset" or args.lr_images):
        p.error(f"{'--lr-images' if args.lr_images else args.command} takes one --indir")
    if args.lr_images and len(args.scales) > 1:
        p.error("--lr-images are of one scale: give it, as in --scales 4")
    if args.command == "dataset":
        for name in ("pair_by", "downgrade"):
            if name in typed and not args.lr_images:
                p.error(f"--{name.replace('_', '-')} belongs to --lr-images")
        if len(args.downgrade or []) > 1:
            p.error("--lr-images are of one --downgrade")
    args.downgrade = args.downgrade or {"div2k": ["bicubic"], "dataset": ["own"]}.get(args.command)
    return args


def main(args):
    """Converts images or weights and returns the exit code."""
    if args.command in MODEL_COMMANDS:
        _make_model(args)
        return 0
    from datasets.work import do_tasks

    if args.command != "div2k":
        for folder in [*args.indir, *filter(None, [args.lr_images])]:
            if not folder.is_dir():
                raise UserError(f"{folder}: there is no such folder")
    return do_tasks(_tasks(args), args.outdir, args.num_workers, args.debug, args.white_level)


def _tasks(args):
    """Returns what is to be made of which image."""
    from datasets import conversion

    indir, outdir = args.indir[0], args.outdir
    if args.command == "div2k":
        from datasets import archives

        names = archives.archive_names(args.downgrade, args.scales)
        make_folder(outdir)  # before hours of fetching
        images = archives.fetch_all(names, indir, (args.address or archives.ADDRESS).rstrip("/"))
        return conversion.numpy_tasks(indir, outdir, images)
    if args.command == "numpy":
        return conversion.numpy_tasks(indir, outdir)
    if args.command == "jpeg":
        return conversion.jpeg_tasks(indir, outdir, args.jpeg_quality)
    if args.command == "bicubic":
        return conversion.bicubic_tasks(indir, outdir, args.scales, args.border)
    if args.command in DEGRADATIONS:
        return conversion.degraded_tasks(indir, outdir, args.scales, args.command, args.downgrade_strength,
                                         args.downgrade_order, args.seed)
    if args.lr_images:
        return conversion.pair_tasks(indir, args.lr_images, outdir, args.scales[0], args.downgrade[0],
                                     args.validation_fraction, args.seed, args.pair_by == "order", PAIRING_ADVICE)
    return conversion.dataset_tasks(args.indir, outdir, args.scales, args.border, args.validation_fraction, args.seed)


def _make_model(args):
    import weights

    paths = [pretrained.find(path) for path in args.indir]
    if args.command == "weights":
        weights.convert(paths[0], args.outdir, padding=args.padding, tanh=args.tanh, res_scaling=args.res_scaling)
    elif args.command == "mix":
        weights.mix(*paths, args.outdir, args.weight)
    elif args.command == "colours":
        weights.write_with_colours(paths[0], args.outdir)
    elif args.command == "export":
        from super_resolution.exporting import export

        note, _ = export(paths[0], args.outdir, args.fp16, args.opset, args.licence)
        print(f"{note}\nwritten: {args.outdir}")
    else:
        weights.write_half(paths[0], args.outdir)


def _command_first(argv):
    """Moves the command to the front: after an option that takes several values it would be one of them."""
    option, first_value = None, 0
    for i, word in enumerate(argv):
        if word.startswith("-"):
            option, first_value = word, i + 1
            continue
        is_folder = option in ("-i", "--indir", "-o", "--outdir") and i == first_value
        is_downgrade = option == "--downgrade" and word not in COMMAND_OPTIONS["downgrade"]  # such as bicubic
        if word in COMMANDS and not is_folder and not is_downgrade:
            return [word, *argv[:i], *argv[i + 1:]]
    return argv


def command():
    """Does what the command line says and returns the exit code; it is `sr-convert` where the suite is installed."""
    return run(main, parse_args())


if __name__ == "__main__":
    sys.exit(command())
