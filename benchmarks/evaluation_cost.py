"""Compares the time of an evaluation with that of the network's forward passes alone.

    python benchmarks/evaluation_cost.py --images Set14 --lr-images Set14_LR_bicubic --pair-by order \\
        pretrained/wdsr-b-8-x4.keras

They take turns: forward passes on images in memory; the evaluation of a first model (which reads the images), of a
further one, and of a further one with SSIM.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import weights
from choices import PAIRINGS
from evaluation import ImageCache, Protocol, choose_metrics, folder_samples, measure
from super_resolution import SuperResolver


def parser():
    """Returns the command line of this script."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--images", type=Path, required=True)
    p.add_argument("--lr-images", type=Path)
    p.add_argument("--pair-by", choices=PAIRINGS, default="name")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("model", type=Path)
    return p


def main():
    """Prints the medians and their ratios."""
    args = parser().parse_args()
    super_resolve = SuperResolver(weights.load(args.model))
    samples = folder_samples(args.images, args.lr_images, super_resolve.scale, "replicate", args.pair_by == "order")
    lrs = [sample.load(super_resolve.scale)[1] for sample in samples]
    protocol, cache = Protocol.named("benchmark"), ImageCache()
    with_ssim = choose_metrics(["ssim"])
    variants = {
        "forward passes": lambda: [super_resolve(lr) for lr in lrs],
        "first model": lambda: measure(super_resolve, samples, protocol),
        "further model": lambda: measure(super_resolve, samples, protocol, cache=cache),
        "further model with SSIM": lambda: measure(super_resolve, samples, protocol, with_ssim, cache),
    }
    times = {name: [] for name in variants}
    variants["further model"]()
    for _ in range(args.rounds):
        for name, call in variants.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    base = statistics.median(times["forward passes"])
    for name, seconds in times.items():
        print(f"{statistics.median(seconds):7.3f} s  {statistics.median(seconds) / base:.3f} x forward  {name}")


if __name__ == "__main__":
    main()
