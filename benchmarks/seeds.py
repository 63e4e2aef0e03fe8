"""Compares the PSNR that variants of a training reach, with several seeds each.

    python benchmarks/seeds.py --outdir ./seeds --base "--profile wdsr-b-8 --scale 4 --epochs 1 --benchmark" \\
        " --precision float32" " --precision bfloat16"

Prints the last epoch's PSNR on the full-size validation images for each seed, the mean and the standard deviation
of each variant, and the differences to the first one seed by seed.
"""

import argparse
import csv
import hashlib
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def train(outdir, options, seed):
    """Trains in a process of its own; returns the last validation PSNR in dB."""
    digest = hashlib.sha256(options.encode()).hexdigest()[:12]  # options may be longer than a name can be
    folder = outdir / f"{digest}-seed-{seed}"
    runs = list(folder.glob("*/history.csv"))
    if not runs:
        command = [sys.executable, ROOT / "train.py", "-o", folder, "--seed", str(seed), *shlex.split(options)]
        with open(outdir / "log.txt", "a", encoding="utf-8") as log:
            subprocess.run(command, check=True, stdout=log, stderr=log)
        runs = list(folder.glob("*/history.csv"))
    with open(runs[0], encoding="utf-8", newline="") as file:
        return float(list(csv.DictReader(file))[-1]["val_psnr"])


def parser():
    """Returns the command line of this script."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--outdir", type=Path, required=True)
    p.add_argument("--seeds", type=int, default=3)
    p.add_argument("--base", default="", help="options of train.py for every variant")
    p.add_argument("variants", nargs="+", metavar="OPTIONS", help="options added to the base's")
    return p


def main():
    """Trains every variant with every seed."""
    args = parser().parse_args()
    args.outdir.mkdir(parents=True, exist_ok=True)
    results = {variant: [train(args.outdir, f"{args.base} {variant}", seed) for seed in range(args.seeds)]
               for variant in args.variants}
    first = results[args.variants[0]]
    for variant, values in results.items():
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        difference = [value - other for value, other in zip(values, first, strict=True)]
        print(f"{statistics.mean(values):.3f} +- {spread:.3f} dB  {variant.strip() or '(base)'}: "
              f"{', '.join(f'{value:.3f}' for value in values)}; "
              f"differences {', '.join(f'{value:+.3f}' for value in difference)}")


if __name__ == "__main__":
    main()
