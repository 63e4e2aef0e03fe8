"""Writes tests/golden.npz: what the networks gave on the TensorFlow backend, for the other backends to compare with.

    KERAS_BACKEND=tensorflow python -m tests.make_golden
"""

import numpy as np

from tests.golden_cases import GOLDEN, forward_cases, loss_cases


def main():
    """Computes every case and writes the file."""
    results = {f"forward/{name}": compute() for name, compute in forward_cases().items()}
    results |= {f"losses/{name}": compute() for name, compute in loss_cases().items()}
    np.savez_compressed(GOLDEN, **results)
    print(f"{GOLDEN}: {len(results)} cases, {GOLDEN.stat().st_size} bytes")


if __name__ == "__main__":
    main()
