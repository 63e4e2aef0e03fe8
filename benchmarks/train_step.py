"""Compares the time of a training step between variants of a training, which take turns in one process.

    python benchmarks/train_step.py --base "--profile wdsr-b-8 --scale 4" " --no-weightnorm" " --precision bfloat16"

Prints the median time of a step of the base and of each variant (options added to the base's), and their ratios.
"""

import argparse
import shlex
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np

import train


def build(options):
    """Returns a function that does one training step on a fixed random batch."""
    args = train.parse_args(shlex.split(options))
    _, network, _ = train.build(args)
    rng = np.random.default_rng(0)
    lr, hr = (rng.integers(256, size=(args.batch_size, size, size, 3)).astype("float32")
              for size in (args.patch_size, args.patch_size * args.scale))
    return lambda: network.train_on_batch(lr, hr)


def parser():
    """Returns the command line of this script."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--base", default="--profile wdsr-b-8 --scale 4", help="options of train.py")
    p.add_argument("--rounds", type=int, default=40)
    p.add_argument("variants", nargs="+", metavar="OPTIONS", help="options added to the base's")
    return p


def main():
    """Times the steps."""
    args = parser().parse_args()
    names = [args.base, *(f"{args.base} {variant}" for variant in args.variants)]
    steps = [build(name) for name in names]
    for step in steps:  # compile and warm up
        for _ in range(3):
            step()
    times = [[] for _ in steps]
    for _ in range(args.rounds):
        for step, seconds in zip(steps, times, strict=True):
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
    medians = [statistics.median(seconds) for seconds in times]
    for name, median in zip(names, medians, strict=True):
        print(f"{1000 * median:8.1f} ms  {median / medians[0]:.3f} x the base  {name}")


if __name__ == "__main__":
    main()
