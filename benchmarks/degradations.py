"""Measures how fast low-resolution patches are made of high-resolution ones.

    python benchmarks/degradations.py --downgrade photo --scale 4 --hr-size 192

Prints, for one thread, how often each step is taken and the processor time of one, and then pairs a second with
threads and with processes. Processor time does not depend on what else the machine does; pairs a second do.
"""

import argparse
import functools
import multiprocessing
import statistics
import sys
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
from PIL import Image

from choices import DEGRADATIONS, SCALES
from datasets import degradations
from imaging import blur, degrading

STEPS = ((blur, "convolve"), (degradations, "downscale"), (degrading, "resize"), (degrading, "interpolate"),
         (degrading, "add_gaussian_noise"), (degrading, "add_poisson_noise"), (degrading, "compress"))
CHUNK = 25  # pairs that a worker makes at once


def patch(size):
    """Returns a patch of a photo, mirrored to `size` x `size` pixels."""
    with Image.open(Path(__file__).parent.parent / "demo" / "0829x4-crop.png") as image:
        photo = np.asarray(image.convert("RGB"))
    return np.pad(photo, [(0, max(0, size - length)) for length in photo.shape[:2]] + [(0, 0)],
                  "symmetric")[:size, :size]


def make(degradation, hr, scale, first):
    """Makes the low-resolution patches of CHUNK numbers from `first`."""
    for number in range(first, first + CHUNK):
        degradation.lr(hr, scale, number)


def time_steps(degradation, hr, scale, count):
    """Makes `count` patches in this thread and prints the processor time of each step."""
    times, originals = defaultdict(list), {}

    def timed(name, function):
        @functools.wraps(function)
        def call(*args, **options):
            start = time.thread_time()
            result = function(*args, **options)
            times[name].append(time.thread_time() - start)
            return result

        return call

    for module, name in STEPS:
        originals[module, name] = getattr(module, name)
        setattr(module, name, timed(name, originals[module, name]))
    start = time.thread_time()
    for first in range(0, count, CHUNK):
        make(degradation, hr, scale, first)
    total = time.thread_time() - start
    for (module, name), function in originals.items():
        setattr(module, name, function)
    for name, values in times.items():
        print(f"{1000 * statistics.mean(values):8.2f} ms  {len(values) / count:5.2f} times a pair  {name}")
    print(f"{1000 * total / count:8.2f} ms  of one thread for a pair: {count / total:.0f} pairs a second and core")


def rate(pool, degradation, hr, scale, count):
    """Returns pairs a second in wall-clock time."""
    work = functools.partial(make, degradation, hr, scale)
    list(pool.map(work, range(0, 4 * CHUNK, CHUNK)))  # start the workers
    start = time.perf_counter()
    list(pool.map(work, range(0, count, CHUNK)))
    return count / (time.perf_counter() - start)


def parser():
    """Returns the command line of this script."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--downgrade", choices=DEGRADATIONS, default="photo")
    p.add_argument("--strength", type=float, default=1.0)
    p.add_argument("--order", type=int, default=1)
    p.add_argument("--scale", type=int, choices=SCALES, default=4)
    p.add_argument("--hr-size", type=int, default=192, help="pixels of a high-resolution patch")
    p.add_argument("--workers", type=int, default=2)
    p.add_argument("--pairs", type=int, default=1000)
    return p


def main():
    """Times steps and pairs."""
    args = parser().parse_args()
    count = -(-args.pairs // CHUNK) * CHUNK
    degradation = degradations.Degradation(args.downgrade, args.strength, args.order)
    hr = patch(args.hr_size)
    make(degradation, hr, args.scale, 0)  # warm up
    time_steps(degradation, hr, args.scale, count)
    with ThreadPoolExecutor(args.workers) as pool:
        print(f"{rate(pool, degradation, hr, args.scale, count):8.0f} pairs a second with {args.workers} threads")
    with ProcessPoolExecutor(args.workers, multiprocessing.get_context("spawn")) as pool:
        print(f"{rate(pool, degradation, hr, args.scale, count):8.0f} pairs a second with {args.workers} processes")


if __name__ == "__main__":
    main()
