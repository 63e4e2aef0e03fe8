"""Shows that the memory of an evaluation does not grow with the number of checkpoints.

    python benchmarks/evaluation_memory.py --images Set14 --count 12

Makes that many random checkpoints of one network and of networks of different sizes, evaluates them in one process
as evaluate.py does, and prints the resident memory after each.
"""

import argparse
import functools
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import evaluate
import weights
from evaluation import ImageCache, Protocol
from model import wdsr_b


def resident_mib():
    """Returns the resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def main():
    """Evaluates the checkpoints and prints the memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True)
    parser.add_argument("--count", type=int, default=12)
    args = parser.parse_args()
    for kind, num_filters in (("one network", lambda i: 16), ("different networks", lambda i: 8 + i)):
        with tempfile.TemporaryDirectory() as folder:
            options = evaluate.parse_args(["-i", folder, "--images", args.images])
            cache, samples_of = ImageCache(), functools.cache(functools.partial(evaluate._samples, options))
            super_resolve, protocol, memory = None, Protocol("y", "scale", True), []
            for i in range(args.count):
                path = Path(folder) / f"{i}.keras"
                weights.save(wdsr_b(4, num_filters(i), 4), path)
                super_resolve = evaluate._load(path, options, super_resolve)
                evaluate._evaluate(path, options, protocol, super_resolve, samples_of, cache)
                memory.append(resident_mib())
            print(f"{kind}: {', '.join(f'{mib:.0f}' for mib in memory)} MiB")


if __name__ == "__main__":
    main()
