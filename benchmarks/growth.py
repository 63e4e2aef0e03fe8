"""How time grows: a photo's with its megapixels, a training step's with the batch and with the blocks.

    python benchmarks/growth.py -o growth.json

A photo is enlarged by `wdsr-b-8-x4` strip by strip, as `demo.py` does it, without reading and writing files. A step is
one of `wdsr-b` x4 with patches of 24 LR pixels. Prints tables in Markdown; the file holds all samples.
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np

from command_line.devices import use_onednn
from files import write_text

MEGAPIXELS = 0.1, 0.4, 1.5, 6, 24
SEVERAL = 2  # megapixels up to which a photo is enlarged several times
ROUNDS = 3
BATCHES = 1, 2, 4, 8, 16, 32
BLOCKS = 2, 4, 8, 16, 32
PATCH, SCALE = 24, 4


def samples(call, rounds):
    """Returns the seconds of each of some calls, after a first one that is not counted where there are several."""
    if rounds > 1:
        call()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds


def photos(largest):
    """Returns rows of photos: what grows, and the samples."""
    from super_resolution import load

    super_resolve, rows = load("wdsr-b-8-x4"), []
    for megapixels in (size for size in MEGAPIXELS if size <= largest):
        height = round((megapixels * 1e6 / 1.5)**0.5)
        lr = np.random.default_rng(0).integers(256, size=(height, height * 3 // 2, 3), dtype=np.uint8)
        rows.append((megapixels, samples(lambda lr=lr: sum(strip.size for strip in super_resolve.strips(lr)),
                                         ROUNDS if megapixels <= SEVERAL else 1)))
    return rows


def steps():
    """Returns rows of steps, as those of photos, by what grows."""
    use_onednn()  # as train.py does
    return {"batch of 8 blocks": [(batch, step(batch, 8)) for batch in BATCHES],
            "blocks, batch of 8": [(blocks, step(8, blocks)) for blocks in BLOCKS]}


def step(batch, blocks):
    """Returns the samples of a training step."""
    import train

    args = train.parse_args([str(option) for option in (
        "--model", "wdsr-b", "--res-expansion", 6, "--weightnorm", "--scale", SCALE, "--num-res-blocks", blocks)])
    _, network, _ = train.build(args)
    rng = np.random.default_rng(0)
    lr, hr = (rng.integers(256, size=(batch, PATCH * scale, PATCH * scale, 3)).astype("float32")
              for scale in (1, SCALE))
    return samples(lambda: network.train_on_batch(lr, hr), 2 * ROUNDS)


def in_own_process(function, *arguments):
    """Returns what a function returns in a process of its own, which loads the backend as a script does."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def table(title, unit, rows):
    """Returns rows as Markdown, with the time for each unit of what grows."""
    lines = [f"| {title} | s | s for each {unit} |", "|---|---|---|"]
    for value, seconds in rows:
        median = statistics.median(seconds)
        lines.append(f"| {value:g} | {median:.3f} | {median / value:.3f} |")
    return "\n".join(lines)


def parser():
    """Returns the command line of this script."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--largest", type=float, default=MEGAPIXELS[-1], metavar="MEGAPIXELS", help="of a photo")
    p.add_argument("-o", "--output", type=Path, help="file for all samples")
    return p


def main():
    """Measures and prints the tables."""
    args = parser().parse_args()
    rows = {"megapixels": in_own_process(photos, args.largest), **in_own_process(steps)}
    if args.output:
        from peers import machine

        write_text(args.output, json.dumps({"machine": machine(), "rows": rows}, indent=1))
    units = "megapixel", "patch", "block"
    print("\n\n".join(table(title, unit, own) for (title, own), unit in zip(rows.items(), units, strict=True)))


if __name__ == "__main__":
    main()
