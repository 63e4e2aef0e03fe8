"""Shows that the memory of an evaluation does not grow with the number of checkpoints.

    python benchmarks/evaluation_memory.py --images Set14 --count 12

Makes that many random checkpoints of one network and of networks of different sizes, evaluates them in one process
as evaluate.py does, and prints the resident memory after each.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import weights
from evaluation import Evaluation, Protocol, choose_metrics, folder_samples, load_model
from model import wdsr_b


def resident_mib():
    """Returns the resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def parser():
    """Returns the command line of this script."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--images", type=Path, required=True)
    p.add_argument("--count", type=int, default=12)
    return p


def main():
    """Evaluates the checkpoints and prints the memory."""
    args = parser().parse_args()
    for kind, num_filters in (("one network", lambda i: 16), ("different networks", lambda i: 8 + i)):
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / f"{i}.keras" for i in range(args.count)]
            for i, path in enumerate(paths):
                weights.save(wdsr_b(4, num_filters(i), 4), path)
            evaluation = Evaluation(lambda scale: folder_samples(args.images, None, scale, "replicate"),
                                    Protocol.named("benchmark"), choose_metrics())
            memory = []
            enlarge = None
            for path in paths:
                enlarge = load_model(path, enlarge)
                evaluation.result(enlarge)
                memory.append(resident_mib())
            print(f"{kind}: {', '.join(f'{mib:.0f}' for mib in memory)} MiB")


if __name__ == "__main__":
    main()
