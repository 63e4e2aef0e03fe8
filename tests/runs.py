"""Training runs in processes of their own, and comparing what two runs left behind."""

import subprocess
import time

import numpy as np

from tests.conftest import ROOT
from training.workspace import Workspace, read_state


def start(argv, **kwargs):
    """Starts a command whose output is read from the returned process."""
    return subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kwargs)


def only_run(outdir):
    """Returns the folder of the one run in `outdir`."""
    (run,) = outdir.glob("*")
    return run


def wait_for(condition, process, seconds=120):
    """Waits until `condition` is true while `process` runs."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def progress_of(run):
    """Returns the `Progress` that a run's state keeps."""
    return read_state(Workspace(run).state_path)[1]


def assert_same_outcome(run, expected, history="history.csv"):
    """Asserts that two runs have the same history and the same state, bit for bit."""
    assert (run / history).read_text() == (expected / history).read_text()
    steps = [folder / "history-steps.csv" for folder in (run, expected)]
    assert steps[0].is_file() == steps[1].is_file()
    assert not steps[0].is_file() or steps[0].read_text() == steps[1].read_text()
    (ours, our_progress), (theirs, their_progress) = (read_state(Workspace(r).state_path) for r in (run, expected))
    assert our_progress == their_progress
    assert set(ours) == set(theirs)
    for name in ours:
        assert np.array_equal(ours[name], theirs[name]), name
