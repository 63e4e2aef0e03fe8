"""Several steps in one go, as --steps-per-execution has them, change nothing but the time."""

import itertools
import signal

import keras
import numpy as np
import pytest

import train
from datasets.patches import PatchStream
from errors import UserError
from tests.conftest import assert_one_line_error, run_quietly
from tests.runs import only_run, progress_of
from training import pixelwise
from training.distribution import Devices
from training.interrupts import Interrupted, Interrupts
from training.networks import build_models, compile_model
from training.workspace import Workspace, read_state

TINY = ["--profile", "wdsr-b-8", "--num-filters", "5", "--num-res-blocks", "1", "--patch-size", "12",
        "--batch-size", "4", "--validation-steps", "3", "--iterations-per-epoch", 12, "--log-steps", "4",
        "--epochs", 2]
ONE_STEP_ALONE = keras.backend.backend() == "torch"
several = pytest.mark.skipif(ONE_STEP_ALONE, reason="PyTorch does one step at a time")


def histories(run):
    return [(run / name).read_text() for name in ("history.csv", "history-steps.csv")]


def weights_of(run):
    return read_state(Workspace(run).state_path)[0]


@pytest.fixture(scope="module")
def one_by_one(dataset, tmp_path_factory):
    """The folder of a run that does one step after the other."""
    outdir = tmp_path_factory.mktemp("one-by-one")
    run_quietly(train, "-d", dataset, "-o", outdir, *TINY)
    return only_run(outdir)


@pytest.fixture
def train_here(run_main, dataset, tmp_path):
    """Trains in this process: train_here(*argv) -> (result of run_main, run folder)."""
    return lambda *argv: (run_main(train, "-d", dataset, "-o", tmp_path / "output", *TINY, *argv),
                          only_run(tmp_path / "output"))


def assert_same_training(run, expected):
    assert histories(run) == histories(expected)
    ours, theirs = weights_of(run), weights_of(expected)
    assert set(ours) == set(theirs)
    for name in ours:
        assert np.array_equal(ours[name], theirs[name]), name


def stop_at(count, monkeypatch):
    checks = itertools.count(1)

    def stop(_):
        if next(checks) == count:
            raise Interrupted(signal.SIGINT)

    monkeypatch.setattr(Interrupts, "check", stop)


@several
@pytest.mark.slow
@pytest.mark.parametrize("argv", [["--steps-per-execution", 4],
                                  ["--steps-per-execution", 2, "--data-on-device", "yes"]])
def test_several_steps_in_one_go_give_the_same_training_and_are_resumed_exactly(train_here, one_by_one, run_main,
                                                                                monkeypatch, argv):
    stop_at(2, monkeypatch)  # after the first steps
    (code, _, _), run = train_here(*argv)
    monkeypatch.undo()
    assert code == 130
    assert progress_of(run).step == argv[1]
    assert run_main(train, "--resume", run)[0] == 0
    assert_same_training(run, one_by_one)


@several
@pytest.mark.slow
def test_fewer_steps_are_done_in_one_go_where_a_signal_would_wait_long(train_here, one_by_one, run_main, monkeypatch):
    monkeypatch.setattr(pixelwise, "LONGEST_EXECUTION", 0)
    stop_at(5, monkeypatch)  # at step 4, step 8, and then every step
    (code, out, _), run = train_here("--steps-per-execution", 4)
    assert code == 130
    assert "4 steps in one go take" in out
    assert "1 from now on" in out
    assert progress_of(run).step == 10
    monkeypatch.undo()
    assert run_main(train, "--resume", run)[0] == 0  # from there with 2 in one go, then with 4
    assert_same_training(run, one_by_one)


@several
@pytest.mark.slow
def test_a_batch_that_cannot_be_loaded_in_the_middle_loses_no_step(train_here, one_by_one, run_main, monkeypatch):
    genuine = PatchStream._sample

    def sample(stream, number, *patches):
        if stream.augment and number // 4 == 6:
            raise pixelwise.DATA_FAILURES[1]("a.npy: was replaced")
        return genuine(stream, number, *patches)

    monkeypatch.setattr(PatchStream, "_sample", sample)
    result, run = train_here("--steps-per-execution", 4)
    monkeypatch.undo()
    assert_one_line_error(result, "was replaced")
    assert progress_of(run).step == 4
    assert run_main(train, "--resume", run)[0] == 0
    assert_same_training(run, one_by_one)


@pytest.mark.skipif(not ONE_STEP_ALONE, reason="the other backends do several")
def test_several_steps_in_one_go_are_refused_on_pytorch():
    _, network = build_models("edsr", 2, num_filters=4, num_res_blocks=1)
    with pytest.raises(UserError, match="2 steps to an execution are not allowed on PyTorch"):
        compile_model(network, lambda step: 1e-3, steps_per_execution=2)


@several
def test_several_steps_in_one_go_are_refused_on_several_devices():
    devices = Devices()
    devices.num_devices = 2
    with pytest.raises(UserError, match="2 steps to an execution are not allowed on several devices"):
        compile_model(None, lambda step: 1e-3, steps_per_execution=2, devices=devices)
