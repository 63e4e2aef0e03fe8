"""Draws what several models make of the same images, side by side, with bicubic and the original.

    python benchmarks/compare_models.py --lr lr.png --hr hr.png -o figure.png "name=model.keras" "other=other.h5"

Each image is a row: a region of the low-resolution image (x, y, size; the most detailed one where not given) as bicubic
interpolation enlarges it, as each model does, and as it is in the original.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from comparison.regions import Region, bicubic, most_detailed
from files import atomic_path
from imaging.image_files import read_image
from super_resolution import load

GAP, CAPTION, FONT_SIZE = 8, 28, 16


def row(lr, hr, region, resolvers):
    """Returns the enlarged regions (S, S, 3), uint8, of an image: bicubic, each model's, the original's."""
    scale = next(iter(resolvers.values())).scale
    cells = [bicubic(lr, scale, region)]
    cells += [region.of(super_resolve.enlarge(lr), scale) for super_resolve in resolvers.values()]
    return [*cells, region.of(hr, scale)]


def draw(rows, titles):
    """Returns the rows as a PIL image with a title under each column of the last one."""
    size = rows[0][0].shape[0]
    width, height = len(titles) * (size + GAP) - GAP, len(rows) * (size + GAP) - GAP
    figure = Image.new("RGB", (width, height + CAPTION), "white")
    for y, cells in enumerate(rows):
        for x, cell in enumerate(cells):
            figure.paste(Image.fromarray(np.ascontiguousarray(cell)), (x * (size + GAP), y * (size + GAP)))
    for x, title in enumerate(titles):
        ImageDraw.Draw(figure).text((x * (size + GAP) + size / 2, height + 8), title, "#1a1a1a",
                                    ImageFont.load_default(FONT_SIZE), "ma")
    return figure


def parser():
    """Returns the command line of this script."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--lr", type=Path, nargs="+", required=True)
    p.add_argument("--hr", type=Path, nargs="+", required=True)
    p.add_argument("--regions", nargs="*", default=[], metavar="X,Y", help="upper left, in LR pixels")
    p.add_argument("--size", type=int, default=56, help="of the regions, in LR pixels")
    p.add_argument("-o", "--outfile", type=Path, required=True)
    p.add_argument("models", nargs="+", metavar="NAME=MODEL")
    return p


def main():
    """Writes the figure."""
    args = parser().parse_args()
    resolvers = {name: load(model) for name, model in (pair.split("=", 1) for pair in args.models)}
    rows = []
    for i, (lr_path, hr_path) in enumerate(zip(args.lr, args.hr, strict=True)):
        lr = read_image(lr_path)
        region = most_detailed(lr, args.size, args.size)
        if i < len(args.regions):
            x, y = map(int, args.regions[i].split(","))
            region = Region(y, x, args.size, args.size)
        rows.append(row(lr, read_image(hr_path), region, resolvers))
    with atomic_path(args.outfile) as temporary:
        draw(rows, ["bicubic", *resolvers, "original"]).save(temporary)


if __name__ == "__main__":
    main()
