"""Measures peak memory and time of super-resolving one large photo, in a process of its own.

    python benchmarks/demo_memory.py --width 6000 --height 4000 --model pretrained/wdsr-b-8-x4.keras

Prints what the process holds once the model is loaded, its peak, and the peak beyond that, the input and one copy of
the output.
"""

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))


def child(args):
    """Loads the model, makes a photo, super-resolves it, and prints the figures."""
    import numpy as np

    from super_resolution import load

    super_resolve = load(args.model)
    before = int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20
    rng = np.random.default_rng(0)
    lr = rng.integers(256, size=(args.height, args.width, 3), dtype=np.uint8)
    start = time.perf_counter()
    sr = super_resolve.enlarge(lr)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    images = (lr.nbytes + sr.nbytes) / 2**20
    print(f"{args.width} x {args.height} -> {sr.shape[1]} x {sr.shape[0]} in {seconds:.0f} s, tiles of "
          f"{super_resolve.tile_size}: {before:.0f} MiB with the model loaded, peak {peak:.0f} MiB, "
          f"beyond model and images {peak - before - images:.0f} MiB")


def main():
    """Starts the measurement in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=6000)
    parser.add_argument("--height", type=int, default=4000)
    parser.add_argument("--model", type=Path, default=ROOT / "pretrained" / "wdsr-b-8-x4.keras")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args)
    else:
        subprocess.run([sys.executable, __file__, "--child", *sys.argv[1:]], check=True)


if __name__ == "__main__":
    main()
