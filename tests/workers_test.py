"""Worker processes end with their parent, and leave signals to it."""

import os
import signal
import time
from concurrent.futures.process import BrokenProcessPool

import pytest

from datasets.workers import WorkerPool
from tests.processes import Started

SLEEPERS = """
import sys, time
from datasets.workers import WorkerPool
if __name__ == "__main__":
    with WorkerPool(2) as pool:
        futures = [pool.submit(time.sleep, float(sys.argv[1])) for _ in range(4)]
        print("started", flush=True)
        for future in futures:
            future.result()
    print("done", flush=True)
"""


@pytest.fixture
def sleepers(tmp_path):
    """Starts a process with workers that sleep: sleepers(seconds)."""
    (tmp_path / "sleepers.py").write_text(SLEEPERS)
    started = []

    def start(seconds):
        started.append(Started(tmp_path / "sleepers.py", seconds, PYTHONPATH="."))
        return started[-1]

    yield start
    for process in started:
        for pid in process.alive():
            os.kill(pid, signal.SIGKILL)
        process.process.stdout.close()


@pytest.mark.parametrize("delay", [0, *(pytest.param(i / 20, marks=pytest.mark.slow) for i in range(1, 21))])
def test_workers_end_with_a_parent_that_dies_soon_after_their_start(sleepers, delay):
    started = sleepers(1000)
    started.wait_until(started.workers)
    time.sleep(delay)
    started.process.kill()
    started.process.wait()
    assert started.left() == []


def test_signals_to_the_group_do_not_reach_workers_however_early(sleepers):
    started = sleepers(0.5)
    started.wait_until(started.workers)
    for pid in started.workers():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, number)
    assert started.end() == (0, "started\ndone\n")
    assert started.left() == []


def test_a_block_that_is_left_by_an_exception_kills_the_workers():
    start = time.monotonic()
    with pytest.raises(KeyError), WorkerPool(2) as pool:
        futures = [pool.submit(time.sleep, 100) for _ in range(4)]
        raise KeyError
    assert time.monotonic() - start < 10
    assert all(future.done() for future in futures)


def test_a_worker_that_dies_breaks_the_pool_and_the_others_end():
    start = time.monotonic()
    with WorkerPool(2) as pool:
        futures = [pool.submit(*call) for call in ((time.sleep, 0.5), (os._exit, 1), *[(time.sleep, 100)] * 2)]
        for future in futures[1:]:
            with pytest.raises(BrokenProcessPool):
                future.result(timeout=30)
    assert time.monotonic() - start < 30
