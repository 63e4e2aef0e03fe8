"""A run that was broken off anywhere and resumed ends as if nothing had happened."""

import errno
import functools
import itertools
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import train
from datasets.patches import PatchStream
from datasets.workers import WorkerPool
from tests.conftest import ROOT, assert_one_line_error, run_quietly
from tests.runs import assert_same_outcome, only_run, progress_of, start, wait_for
from training.distribution import Devices
from training.interrupts import Interrupted, Interrupts
from training.loop import Training
from training.workspace import Progress, Workspace, input_changes, read_state

TINY = ["--profile", "wdsr-b-8", "--num-filters", "5", "--num-res-blocks", "1", "--patch-size", "12",
        "--batch-size", "4", "--validation-steps", "2", "--learning-rate-step-size", "1", "--log-steps", "3"]


def command(dataset, outdir, *argv):
    return [sys.executable, "train.py", "-d", str(dataset), "-o", str(outdir), *TINY, *map(str, argv)]


def epochs_done(outdir):
    return max((len((run / "history.csv").read_text().splitlines()) - 1 for run in outdir.glob("*")
                if (run / "history.csv").exists()), default=0)


@pytest.fixture(scope="module")
def uninterrupted(dataset, tmp_path_factory):
    """A run of six epochs of 150 steps in one go."""
    outdir = tmp_path_factory.mktemp("uninterrupted")
    subprocess.run(command(dataset, outdir, "--epochs", 6, "--iterations-per-epoch", 150), cwd=ROOT, check=True,
                   capture_output=True)
    return only_run(outdir)


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [0, 1, 2])
def test_a_run_killed_in_the_middle_of_an_epoch_is_resumed_exactly(dataset, uninterrupted, tmp_path, epochs):
    process = start(command(dataset, tmp_path, "--epochs", 6, "--iterations-per-epoch", 150))
    wait_for(lambda: list(tmp_path.glob("*/state/state.npz")) and epochs_done(tmp_path) >= epochs, process)
    time.sleep(random.uniform(0, 0.3))
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "the run ended before it was killed"
    run = only_run(tmp_path)
    subprocess.run([sys.executable, "train.py", "--resume", run], cwd=ROOT, check=True, capture_output=True)
    assert_same_outcome(run, uninterrupted)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_at_the_next_step_and_the_run_is_resumed_exactly(dataset, uninterrupted, tmp_path, number, code):
    process = start(command(dataset, tmp_path, "--epochs", 6, "--iterations-per-epoch", 150))
    wait_for(lambda: epochs_done(tmp_path) >= 1, process)
    time.sleep(0.1)
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    run = only_run(tmp_path)
    assert process.returncode == code, out
    assert f"python train.py --resume {run}" in out
    assert "Traceback" not in out
    progress = progress_of(run)
    assert f"stopped after step {progress.step} of epoch {progress.epoch + 1}" in out
    subprocess.run([sys.executable, "train.py", "--resume", run], cwd=ROOT, check=True, capture_output=True)
    assert_same_outcome(run, uninterrupted)


@pytest.fixture(scope="module")
def whole_run(dataset, tmp_path_factory):
    """Trains in one go in this process, once for the same options: whole_run(epochs, *argv) -> run folder."""
    @functools.cache
    def whole_run(epochs, *argv):
        outdir = tmp_path_factory.mktemp("whole")
        run_quietly(train, "-d", dataset, "-o", outdir, *TINY, "--iterations-per-epoch", 4, "--epochs", epochs, *argv)
        return only_run(outdir)

    return whole_run


@pytest.fixture
def one_epoch(whole_run, tmp_path):
    """The folder of a run of one epoch, to be gone on with."""
    return shutil.copytree(whole_run(1), tmp_path / "one-epoch")


@pytest.fixture
def train_here(run_main, dataset, tmp_path):
    """Trains in this process: train_here(*argv) -> (result of run_main, run folder)."""
    def train_here(*argv):
        outdir = tmp_path / f"output-{len(list(tmp_path.iterdir()))}"
        result = run_main(train, "-d", dataset, "-o", outdir, *TINY, "--iterations-per-epoch", 4, *argv)
        return result, next(iter(outdir.glob("*")), None)

    return train_here


# An epoch looks for a signal at its start, after each of its 4 steps, and twice in its validation.
@pytest.mark.slow
@pytest.mark.parametrize(("argv", "count"), [
    (["--gradient-accumulation", "2", "--ema", "0.9"], 2), ([], 3),
    (["--gradient-accumulation", "2", "--ema", "0.9"], 6), *((["--benchmark"], count) for count in range(2, 15)),
    *((["--ema", "0.9"], count) for count in (4, 6)), (["--gradient-accumulation", "4"], 10)])
def test_a_run_stopped_at_any_step_or_validation_is_resumed_exactly(train_here, whole_run, run_main, monkeypatch, count,
                                                                    argv):
    whole = whole_run(2, *argv)
    checks = itertools.count(1)

    def stop_at_the_last_check(_):
        if next(checks) == count:
            raise Interrupted(signal.SIGINT)

    monkeypatch.setattr(Interrupts, "check", stop_at_the_last_check)
    (code, _, _), run = train_here("--epochs", 2, *argv)
    monkeypatch.undo()
    assert code == 130
    assert run_main(train, "--resume", run)[0] == 0
    assert_same_outcome(run, whole)


@pytest.mark.slow
def test_a_run_with_its_images_on_the_device_equals_one_on_the_host_and_is_resumed_there(train_here, whole_run,
                                                                                         run_main, monkeypatch):
    checks = itertools.count(1)

    def stop_at_the_third_check(_):
        if next(checks) == 3:
            raise Interrupted(signal.SIGINT)

    monkeypatch.setattr(Interrupts, "check", stop_at_the_third_check)
    (code, out, _), run = train_here("--epochs", 2, "--data-on-device", "yes")
    monkeypatch.undo()
    assert code == 130
    assert "training images on the device" in out
    assert run_main(train, "--resume", run, "--data-on-device", "no")[0] == 0
    assert_same_outcome(run, whole_run(2))


def test_another_epoch_later_equals_both_at_once(one_epoch, whole_run, run_main):
    assert run_main(train, "--resume", one_epoch, "--epochs", 2, "--num-workers", 2)[0] == 0
    assert_same_outcome(one_epoch, whole_run(2))


@pytest.mark.slow
def test_a_queue_that_starts_a_job_again_goes_on_with_the_newest_run(one_epoch, dataset, whole_run, run_main):
    argv = ["--auto-resume", "-d", dataset, "-o", one_epoch.parent, *TINY, "--iterations-per-epoch", 4, "--epochs"]
    code, out, _ = run_main(train, *argv, 1)
    assert code == 0
    assert f"{one_epoch}: has done its 1 epochs" in out
    for wrong in (["--batch-size", 5], ["--resume", one_epoch]):
        with pytest.raises(SystemExit):
            run_main(train, *argv, 2, *wrong)
    assert run_main(train, *argv, 2)[0] == 0
    assert_same_outcome(one_epoch, whole_run(2))
    shutil.rmtree(one_epoch)
    args = train.parse_args([*map(str, argv), "1"])  # a first run, which does not say how it was started
    assert args.resume is None
    assert not args.auto_resume


@pytest.mark.slow
@pytest.mark.parametrize(("method", "subset"), [("fit", "train"), ("evaluate", "valid")])
def test_a_run_whose_worker_is_killed_saves_its_state_and_is_resumed_exactly(train_here, whole_run, run_main,
                                                                             monkeypatch, method, subset):
    genuine = getattr(keras.Model, method)

    def killed_within(network, sequence, **kwargs):
        def killed(pool, future):
            monkeypatch.setattr(WorkerPool, "result", genuine_result)
            os.kill(pool._workers.started[0].pid, signal.SIGKILL)
            raise BrokenProcessPool

        genuine_result = WorkerPool.result
        monkeypatch.setattr(WorkerPool, "result", killed)
        return genuine(network, sequence, **kwargs)

    monkeypatch.setattr(keras.Model, method, killed_within)
    result, run = train_here("--epochs", 2, "--use-multiprocessing")
    monkeypatch.undo()
    progress = progress_of(run)
    assert 0 < 4 * progress.epoch + progress.step < 8
    assert_one_line_error(result, "a process that loads images was killed", run,
                          f"the state after step {progress.step} of epoch {progress.epoch + 1} is saved")
    assert multiprocessing.active_children() == []
    assert run_main(train, "--resume", run)[0] == 0
    assert_same_outcome(run, whole_run(2))


@pytest.mark.slow
@pytest.mark.parametrize("subset", ["train", "valid"])
def test_a_run_whose_array_is_replaced_saves_its_state_and_is_resumed_exactly(dataset, train_here, whole_run, run_main,
                                                                              monkeypatch, tmp_path, subset):
    copy = shutil.copytree(dataset, tmp_path / "copy")  # with the times
    arrays = sorted(copy.glob(f"DIV2K_{subset}_HR/*.npy"))
    last_batch = {"train": 3, "valid": 1}[subset]  # whose arrays are others
    genuine = PatchStream._sample

    def sample(stream, number, *patches):
        for path in arrays if stream.augment == (subset == "train") else ():
            shutil.copystat(dataset / path.relative_to(copy), path)
            if number // 4 == last_batch:
                os.utime(path)
        return genuine(stream, number, *patches)

    monkeypatch.setattr(PatchStream, "_sample", sample)
    result, run = train_here("--epochs", 2, "--dataset", copy, "--num-workers", 1)
    monkeypatch.undo()
    progress = progress_of(run)
    assert progress.epoch == 0
    assert progress.step in {"train": (1, 2, 3), "valid": (4,)}[subset]
    assert_one_line_error(result, arrays[0].parent, ".npy: was replaced or changed since it was found", run,
                          f"the state after step {progress.step} of epoch 1 is saved")
    for path in arrays:
        shutil.copystat(dataset / path.relative_to(copy), path)
    assert run_main(train, "--resume", run)[0] == 0
    assert_same_outcome(run, whole_run(2))


@pytest.mark.slow
def test_a_run_goes_on_with_changed_data_or_options_only_where_that_is_accepted(one_epoch, dataset, run_main, tmp_path):
    moved = shutil.copytree(dataset, tmp_path / "moved")  # with the times
    arrays = [f"DIV2K_train_HR/{number:04d}.npy" for number in (1, 2)]
    os.utime(moved / arrays[0])
    resume = "--resume", one_epoch, "--epochs", 2, "--dataset", moved
    assert_one_line_error(run_main(train, *resume), one_epoch, "--accept-changes",
                          f"1 arrays for train have another size or time, such as {arrays[0]}")
    shutil.copystat(dataset / arrays[0], moved / arrays[0])
    args = (one_epoch / "args.txt").read_text()
    (one_epoch / "args.txt").write_text(args.replace("--learning-rate=0.001", "--learning-rate=0.01"))
    assert_one_line_error(run_main(train, *resume), "args.txt has --learning-rate=0.01 in place of the default")
    code, out, _ = run_main(train, *resume, "--accept-changes")
    assert code == 0
    assert f"{one_epoch}: args.txt has --learning-rate=0.01" in out
    assert "--learning-rate=0.01" in progress_of(one_epoch).inputs["options"]


@pytest.mark.slow
def test_another_epoch_on_a_data_set_that_was_moved_equals_both_at_once(one_epoch, whole_run, dataset, run_main,
                                                                        tmp_path):
    moved = shutil.copytree(dataset, tmp_path / "moved")
    assert run_main(train, "--resume", one_epoch, "--epochs", 2, "--dataset", moved)[0] == 0
    assert_same_outcome(one_epoch, whole_run(2))


@pytest.mark.parametrize(("before", "now", "text"), [
    ({"train": {"a": [1, 1], "b": [1, 1]}}, {"train": {"b": [1, 1]}}, "1 arrays for train are gone, such as a"),
    ({"train": {}}, {"train": {"b": [1, 1], "c": [1, 1]}}, "2 arrays for train are new, such as b"),
    ({"valid": {"b": [1, 1]}}, {"valid": {"b": [1, 2]}}, "1 arrays for valid have another size or time, such as b"),
    ({"options": ["--a=1"]}, {"options": ["--a=2"]}, "args.txt has --a=2 in place of --a=1")])
def test_what_has_changed_is_named(before, now, text):
    nothing = {"train": {}, "valid": {}, "options": []}
    assert input_changes(nothing | before, nothing | now) == [text]
    assert input_changes(nothing | now, nothing | now) == []
    assert input_changes({}, nothing | now) == []  # the state of an earlier version


def test_a_run_that_is_being_trained_cannot_be_resumed_beside(one_epoch, run_main):
    workspace = Workspace(one_epoch)
    workspace.lock()
    assert_one_line_error(run_main(train, "--resume", one_epoch, "--epochs", 2), one_epoch,
                          "is being trained by another process")
    workspace.unlock()


def test_tensorboard_gets_an_epoch_before_the_state_counts_it(monkeypatch):
    written = []
    run = Training.__new__(Training)
    run.devices = Devices()
    run.progress, run.iterations_per_epoch, run.epochs = Progress(step=1), 1, 1
    run.super_resolve = run.inference_model = None
    run.interrupts = run.sequence = SimpleNamespace(batch_size=1, check=lambda: None)
    run.sequences = [run.sequence]
    run.finish_epoch = lambda epoch: {"loss": 1.0}
    run.checkpoints = run.workspace = SimpleNamespace(save=lambda *_: None, write_history=lambda *_: None,
                                                      state_path="state")
    run.history_file, run.variables = "", dict
    run.log = SimpleNamespace(write=lambda epoch, *_: written.append(("log", epoch)))
    monkeypatch.setattr("training.loop.save_state",
                        lambda path, variables, progress: written.append((path, progress.epoch)))
    run._run_epoch(0)
    assert written == [("log", 1), ("state", 1)]


@pytest.mark.slow
@pytest.mark.parametrize("argv", [["--precision", "bfloat16"], ["--precision", "float16"], ["--no-weightnorm"],
                                  ["--warmup-steps", "6"], ["--save-best-models-only"]])
def test_more_epochs_later_equal_all_epochs_at_once(train_here, run_main, argv):
    _, whole = train_here("--epochs", 3, *argv)
    _, part = train_here("--epochs", 1, *argv)
    assert run_main(train, "--resume", part, "--epochs", 3, "--num-workers", 2)[0] == 0
    assert_same_outcome(part, whole)


def test_a_loss_that_is_not_finite_ends_the_run(train_here):
    result, run = train_here("--epochs", 2, "--no-weightnorm", "--loss", "mse", "--learning-rate", "1e30")
    assert_one_line_error(result, "the loss is", "at step ", "of epoch 1", "learning rate 1e+30", "no checkpoint yet")
    assert progress_of(run).epoch == 0


@pytest.mark.slow
def test_a_loss_that_is_not_finite_later_names_the_last_good_checkpoint(one_epoch, run_main):
    state = Workspace(one_epoch).state_path
    with np.load(state) as file:
        arrays = dict(file)
    name = next(name for name in arrays if name.endswith("head/kernel"))
    arrays[name] = arrays[name] * np.nan
    np.savez(state, **arrays)
    (checkpoint,) = (one_epoch / "models").glob("*.keras")
    result = run_main(train, "--resume", one_epoch, "--epochs", 2)
    assert_one_line_error(result, "the loss is nan at step 1 of epoch 2", "learning rate", checkpoint)


@pytest.mark.slow
@pytest.mark.parametrize("failing", ["model", "state"])
def test_a_full_disk_ends_the_run_with_the_last_good_checkpoint_intact(one_epoch, run_main, monkeypatch, failing):
    run = one_epoch
    content = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and "logs" not in path.parts}
    (checkpoint,) = (run / "models").glob("*.keras")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), f"{failing} file")

    monkeypatch.setattr("keras.Model.save" if failing == "model" else "numpy.savez", full)
    result = run_main(train, "--resume", run, "--epochs", 2)
    monkeypatch.undo()
    assert_one_line_error(result, run, "cannot be written", "No space left on device", "the last good checkpoint is")
    for path in (checkpoint, run / "state" / "state.npz"):
        assert path.read_bytes() == content[path]
    assert not list(run.rglob("*.part*"))
    assert run_main(train, "--resume", run, "--epochs", 2)[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "name"), [(2_000, "logs"), (60_000, "models")])
def test_a_file_size_limit_leaves_no_half_written_file(dataset, tmp_path, limit, name):
    """The system itself refuses to write on, as it does on a full disk."""
    process = start(command(dataset, tmp_path, "--epochs", 2, "--iterations-per-epoch", 2),
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "cannot be written: File too large" in out
    assert name in out.split("error: ")[1].split(":")[0]
    assert "Traceback" not in out
    assert not list(tmp_path.rglob("*.keras"))
    assert not list(tmp_path.rglob("*.part*"))


@pytest.mark.slow
def test_training_goes_on_from_a_checkpoint_with_the_state_beside_it(train_here, whole_run):
    whole = whole_run(2)
    (checkpoint,) = (whole_run(1) / "models").glob("*.keras")
    (_, out, _), run = train_here("--epochs", 2, "--initial-epoch", 1, "--pretrained-model", checkpoint)
    assert "goes on with the optimizer's state of its run" in out
    lines = [(r / "history.csv").read_text().splitlines()[-1] for r in (whole, run)]
    assert lines[0] == lines[1]


@pytest.mark.slow
def test_a_checkpoint_without_its_state_gets_a_fresh_optimizer_and_says_so(train_here, whole_run, tmp_path):
    part = shutil.copytree(whole_run(2), tmp_path / "part")
    first, last = sorted((part / "models").glob("*.keras"))
    (_, out, _), _ = train_here("--epochs", 2, "--initial-epoch", 1, "--pretrained-model", first)
    assert "starts with a fresh optimizer" in out
    assert f"is of another epoch or network than {first.name}" in out
    (part / "state" / "state.npz").unlink()
    (_, out, _), _ = train_here("--epochs", 2, "--initial-epoch", 1, "--pretrained-model", last)
    assert "starts with a fresh optimizer: there is no" in out


def test_the_state_of_an_earlier_version_is_read(tmp_path):
    text = ('{"epoch": 1, "step": 2, "train_logs": {"loss": 0.1}, "best_psnr": 20.5, '
            '"history": [{"epoch": 1, "loss": 0.2}]}')
    np.savez(tmp_path / "state.npz", progress=np.array(text))
    assert read_state(tmp_path / "state.npz") == ({}, Progress(1, 2, {"loss": 0.1}, 20.5, [{"epoch": 1, "loss": 0.2}]))
