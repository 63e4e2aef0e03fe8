"""Draws what growth.py has measured: the time for each megapixel, patch and block, on logarithmic axes.

    python benchmarks/growth_plot.py docs/results/growth.json docs/growth.svg
"""

import json
import math
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from files import write_text

WIDTH, HEIGHT, MARGIN = 250, 170, 50  # pixels of a panel, without what is written around it
UNITS = {"megapixels": "s a megapixel, x4", "batch of 8 blocks": "s a patch of a step",
         "blocks, batch of 8": "s a block of a step"}
TITLES = {"megapixels": "megapixels of the photo", "batch of 8 blocks": "patches in a batch (8 blocks)",
          "blocks, batch of 8": "blocks of the network (batch of 8)"}


def panel(title, unit, rows):
    """Returns the SVG elements of a panel: each sample as a point, a line through the medians."""
    values = [value for value, _ in rows]
    points = [(value, second / value) for value, seconds in rows for second in seconds]
    medians = [(value, statistics.median(seconds) / value) for value, seconds in rows]
    top = 10 ** math.ceil(math.log10(max(second for _, second in points)))
    bottom = 10 ** math.floor(math.log10(min(second for _, second in points)))

    def place(value, second):
        x, y = (math.log(at / low) / math.log(high / low)
                for at, low, high in ((value, values[0], values[-1]), (second, bottom, top)))
        return f"{x * WIDTH:.1f}", f"{(1 - y) * HEIGHT:.1f}"

    lines = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#888"/>']
    for value in values:
        x, _ = place(value, bottom)
        lines.append(f'<text x="{x}" y="{HEIGHT + 16}" text-anchor="middle">{value:g}</text>')
    for power in range(round(math.log10(bottom)), round(math.log10(top)) + 1):
        _, y = place(values[0], 10.0**power)
        lines.append(f'<line x2="{WIDTH}" y1="{y}" y2="{y}" stroke="#ddd"/>'
                     f'<text x="-6" y="{y}" dy="4" text-anchor="end">{10.0**power:g}</text>')
    lines += ['<circle cx="{}" cy="{}" r="2" fill="#2a6fb0"/>'.format(*place(*point)) for point in points]
    way = " ".join(",".join(place(*median)) for median in medians)
    lines += [f'<polyline points="{way}" fill="none" stroke="#2a6fb0"/>',
              f'<text x="{WIDTH / 2}" y="{HEIGHT + 36}" text-anchor="middle">{title}</text>',
              f'<text x="{WIDTH / 2}" y="-10" text-anchor="middle" font-weight="bold">{unit}</text>']
    return "\n".join(lines)


def plot(rows):
    """Returns an SVG image of rows as growth.py writes them, a panel beside the other."""
    step = WIDTH + 2 * MARGIN
    panels = "\n".join(f'<g transform="translate({MARGIN + step * i}, {MARGIN})">\n'
                       f"{panel(TITLES[name], UNITS[name], own)}\n</g>" for i, (name, own) in enumerate(rows.items()))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{step * len(rows)}" height="{HEIGHT + 2 * MARGIN}" '
            'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n'
            f"{panels}\n</svg>\n")


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    write_text(target, plot(json.loads(source.read_text(encoding="utf-8"))["rows"]))
