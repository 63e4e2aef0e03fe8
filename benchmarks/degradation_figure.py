"""Draws docs/degradations.png: one image, reduced by the degradations of datasets/degradations.py.

    python benchmarks/degradation_figure.py -i ./demo/0829x4-crop.png -o ./docs/degradations.png
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from PIL import Image, ImageDraw, ImageFont

from choices import SCALES
from datasets.degradations import Degradation
from imaging.image_files import read_image
from imaging.resize import downscale

ROWS = (  # title, arguments of `Degradation`
    ("photo", {"name": "photo"}),
    ("photo, strength 2", {"name": "photo", "strength": 2}),
    ("photo, order 2", {"name": "photo", "order": 2}),
    ("photo2", {"name": "photo2"}),
)
COLUMNS = 5
GAP, TITLE_HEIGHT, FONT_SIZE = 6, 20, 14
INK = "#1a1a1a"


def panel(image, size):
    """Returns an image enlarged to `size` (width, height), its pixels as squares."""
    return Image.fromarray(image).resize(size, Image.Resampling.NEAREST)


def draw(hr, scale):
    """Returns the figure: `hr` and its bicubic reduction in the first row, then COLUMNS samples of each of ROWS."""
    size = hr.shape[1] // scale * scale, hr.shape[0] // scale * scale
    rows = [(("high resolution", hr[:size[1], :size[0]]), (f"bicubic, 1/{scale}", downscale(hr, scale)))]
    for title, arguments in ROWS:
        degradation = Degradation(**arguments)
        rows.append([(title if number == 0 else "", degradation.lr(hr, scale, number)) for number in range(COLUMNS)])
    width, height = size[0] + GAP, size[1] + TITLE_HEIGHT
    figure = Image.new("RGB", (COLUMNS * width + GAP, len(rows) * height + GAP), "white")
    for y, row in enumerate(rows):
        for x, (title, image) in enumerate(row):
            left, top = GAP + x * width, y * height
            ImageDraw.Draw(figure).text((left, top + 2), title, INK, ImageFont.load_default(FONT_SIZE))
            figure.paste(panel(image, size), (left, top + TITLE_HEIGHT))
    return figure


def parser():
    """Returns the command line of this script."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-i", "--image", type=Path, default=Path("demo/0829x4-crop.png"), help="high resolution")
    p.add_argument("-o", "--output", type=Path, default=Path("docs/degradations.png"))
    p.add_argument("--scale", type=int, choices=SCALES, default=2)
    return p


def main():
    """Draws and writes the figure."""
    args = parser().parse_args()
    draw(read_image(args.image), args.scale).save(args.output, optimize=True)


if __name__ == "__main__":
    main()
