"""How often the end of a TensorFlow data set is waited for, with its autotuning and without, while processors are busy.

    python benchmarks/dataset_end.py

Autotuning works in rounds, each twice as far from the last one, a minute at most. A data set that has ended waits for
its thread, which is woken and may go back to sleep. That costs half a second here, and a minute after an epoch of 82 s.
"""

import argparse
import multiprocessing
import os
import time

ROUNDS = 25
SECONDS = 0.7  # of use; the next round is 0.6 s later
LATE = 0.1  # seconds


def busy():
    """Computes for ever."""
    while True:
        pass


def seconds_of_end(is_tuned):
    """Returns the seconds that the end of a data set takes."""
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = is_tuned
    batches = iter(tf.data.Dataset.from_tensors(1.0).repeat().prefetch(2).with_options(options))
    start = time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        next(batches)
        time.sleep(0.01)
    start = time.perf_counter()
    del batches
    return time.perf_counter() - start


def parser():
    """Returns the command line of this script."""
    return argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)


def main():
    """Measures and prints both."""
    parser().parse_args()
    others = [multiprocessing.get_context("spawn").Process(target=busy, daemon=True) for _ in range(os.cpu_count())]
    for other in others:
        other.start()
    found = {is_tuned: [] for is_tuned in (True, False)}
    for _ in range(ROUNDS):
        for is_tuned, seconds in found.items():
            seconds.append(seconds_of_end(is_tuned))
    for is_tuned, seconds in found.items():
        print(f"autotuning {'on' if is_tuned else 'off'}: {sum(one > LATE for one in seconds)} of {ROUNDS} ends took "
              f"more than {LATE} s, the longest {max(seconds):.2f} s")


if __name__ == "__main__":
    main()
