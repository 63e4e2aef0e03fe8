"""A training on several devices gives what one device gives, and its processes act together."""

import shutil
import signal
import subprocess
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import train
import train_gan
from command_line import process_group, resume_command, run_lines
from data import find_training_pairs
from datasets.patches import PatchStream
from errors import UserError
from tests.conftest import ROOT, assert_one_line_error
from tests.distributed import end_codes, losses, start_processes, train_in_processes, train_on
from tests.runs import only_run, progress_of, wait_for
from training.distribution import Devices, MirroredDevices, ParallelDevices, find_devices
from training.interrupts import OTHER_FAILED, Interrupted, Interrupts, OtherProcessFailed, check
from training.processes import join
from training.workspace import Workspace, read_state

TINY = ["--profile", "wdsr-b-8", "--num-filters", "5", "--num-res-blocks", "1", "--patch-size", "12",
        "--batch-size", "8", "--validation-steps", "2", "--log-steps", "5", "--epochs", "1"]
BACKEND = keras.backend.backend()

on_jax = pytest.mark.skipif(BACKEND != "jax", reason="several processes train on JAX alone")
on_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow's way to distribute")
distributing = pytest.mark.skipif(BACKEND == "torch", reason="PyTorch has no data parallelism here")


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """The folder of what JAX has compiled, which takes most of the time of a tiny training."""
    return tmp_path_factory.mktemp("cache")


def test_each_process_reads_its_share_of_every_batch_alone(dataset):
    pairs, _ = find_training_pairs(dataset, 2, "bicubic")
    read = []

    class Counting:
        def __init__(self, pair):
            self.pair, self.lr_shape = pair, pair.lr_shape

        def crop(self, *argv):
            hr, lr = self.pair.crop(*argv)
            read.append(hr.nbytes + lr.nbytes)
            return hr, lr

    pairs = [Counting(pair) for pair in pairs]
    whole = [PatchStream(pairs, 2, 8, 12).batch(number) for number in range(3)]
    num_bytes = sum(read)
    for count in (2, 4, 8):
        read.clear()
        parts = [[PatchStream(pairs, 2, 8, 12, part=(part, count)).batch(number) for part in range(count)]
                 for number in range(3)]
        assert len(read) == 24
        assert sum(read) == num_bytes
        for batch, shares in zip(whole, parts, strict=True):
            for images, shared in zip(batch, zip(*shares, strict=True), strict=True):
                assert np.array_equal(images, np.concatenate(shared))
        read.clear()
        PatchStream(pairs, 2, 8, 12, part=(1, count)).batch(0)
        assert sum(read) == num_bytes // 3 // count


def test_a_batch_that_the_devices_do_not_divide_is_refused():
    devices = Devices()
    devices.num_devices = 3
    devices.check_batch(6)
    with pytest.raises(UserError, match=r"a batch of 16 .* by 3 devices: choose a multiple of 3"):
        devices.check_batch(16)


@pytest.mark.parametrize(("typed", "environ", "group"), [
    ([], {}, None),
    (["--num-processes", "1"], {}, None),
    (["--coordinator", "a:1", "--num-processes", "2", "--process-id", "1"], {"JAX_PROCESS_ID": "0"}, ("a:1", 2, 1)),
    ([], {"JAX_COORDINATOR_ADDRESS": "a:1", "JAX_NUM_PROCESSES": "4", "JAX_PROCESS_ID": "3"}, ("a:1", 4, 3)),
    ([], {"KERAS_DISTRIBUTION_JOB_ADDRESSES": "a:1,b:1", "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
          "KERAS_DISTRIBUTION_PROCESS_ID": "0"}, ("a:1", 2, 0)),
    (["--process-id", "1"], {"MASTER_ADDR": "a", "MASTER_PORT": "1", "WORLD_SIZE": "2", "RANK": "0"}, ("a:1", 2, 1)),
])
def test_the_processes_are_told_by_options_then_by_variables(typed, environ, group):
    assert process_group(train.parse_args(["--distribute", *typed]), environ) == group
    assert process_group(train.parse_args([]), environ) is None


def test_what_options_and_variables_leave_open_is_for_slurm_to_say():
    slurm = {"SLURM_JOB_ID": "7", "SLURM_STEP_NODELIST": "n[1-2]", "SLURM_NTASKS": "2", "SLURM_PROCID": "1",
             "SLURM_LOCALID": "0"}
    assert process_group(train.parse_args(["--distribute"]), slurm) == (None, None, None)
    assert process_group(train.parse_args(["--distribute", "--coordinator", "n1:9"]), slurm) == ("n1:9", None, None)
    assert process_group(train.parse_args(["--distribute"]), slurm | {"SLURM_NTASKS": "1"}) is None


@pytest.mark.parametrize(("typed", "environ", "text"), [
    (["--coordinator", "a:1"], {}, "several processes need --num-processes, --process-id as well"),
    (["--coordinator", "a", "--num-processes", "2", "--process-id", "1"], {}, "give it as HOST:PORT"),
    (["--coordinator", "a:1", "--num-processes", "2", "--process-id", "2"], {}, "process 2 is not one of 2"),
    ([], {"RANK": "first"}, "first is no number of processes, as .* RANK"),
])
def test_processes_that_are_told_by_half_are_refused(typed, environ, text):
    with pytest.raises(UserError, match=text):
        process_group(train.parse_args(["--distribute", *typed]), environ)


@pytest.mark.parametrize("script", [train, train_gan])
def test_the_machines_are_no_part_of_a_run(script, capsys):
    args = script.parse_args(["--distribute", "--coordinator", "a:1", "--num-processes", "2", "--process-id", "1"])
    assert run_lines(script.parser(), args) == run_lines(script.parser(), script.parse_args([]))
    assert resume_command(script.__name__, args) == f"python {script.__name__}.py --distribute --resume"
    with pytest.raises(SystemExit):
        script.parse_args(["--coordinator", "a:1"])
    assert "--coordinator belongs to --distribute" in capsys.readouterr().err


def test_pytorch_is_refused_with_what_can_be_done(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    for refused in (lambda: find_devices(distribute=True), lambda: join(("a:1", 2, 0))):
        with pytest.raises(UserError, match=r"KERAS_BACKEND=tensorflow or KERAS_BACKEND=jax .*Keras 3\.16"):
            refused()
    assert find_devices(distribute=False).num_devices == 1


@on_tensorflow
def test_several_processes_are_refused_by_tensorflow():
    with pytest.raises(UserError, match="on JAX alone, not on tensorflow: set KERAS_BACKEND=jax"):
        join(("a:1", 2, 0))


@on_tensorflow
@pytest.mark.parametrize("argv", [["--gradient-accumulation", 2], ["--global-clipnorm", 1], ["--precision", "float16"],
                                  ["--jit-compile", "yes"]])
def test_what_mirrored_devices_would_compute_otherwise_is_refused(run_main, dataset, monkeypatch, argv):
    monkeypatch.setattr("training.distribution.MirroredDevices.__init__", lambda self: None)
    result = run_main(train, "-d", dataset, "--distribute", "--iterations-per-epoch", 4, *argv)
    assert_one_line_error(result, "is not supported on several devices on TensorFlow", "KERAS_BACKEND=jax")
    with pytest.raises(UserError, match="adversarial training"):
        MirroredDevices().check_supported(adversarial=True)


class AgreedDevices(Devices):
    """One of two processes, the other of which has a code of its own."""

    num_processes = 2

    def __init__(self, other):
        self.other = other

    def agree(self, code, at_once=False):
        return max(code, self.other)


def sequence(error=None):
    def fail():
        if error:
            raise error

    return SimpleNamespace(has_failed=error is not None, check=fail)


def test_processes_stop_for_what_has_come_to_any_of_them():
    check(Interrupts(), [sequence()], AgreedDevices(0))
    with pytest.raises(Interrupted, match="SIGTERM"):
        check(Interrupts(), [sequence()], AgreedDevices(signal.SIGTERM))
    with pytest.raises(OtherProcessFailed):
        check(Interrupts(), [sequence()], AgreedDevices(OTHER_FAILED))
    with pytest.raises(UserError, match="its own"):
        check(Interrupts(), [sequence(UserError("its own"))], AgreedDevices(signal.SIGTERM))


@pytest.fixture
def two_processes():
    """The `ParallelDevices` of the first of two processes, and what the second gathers."""
    devices, other = ParallelDevices.__new__(ParallelDevices), []
    devices.num_processes, devices.process = 2, 0
    devices._gather = lambda array: np.stack([array, other.pop() if other else array])
    return devices, other


def test_processes_put_the_figures_of_their_images_in_order(two_processes):
    devices, other = two_processes
    other.append(np.array([2.5, 4.5, np.nan]).view(np.uint32))
    assert devices.collect([1.5, 3.5, 1 / 3], 5) == [1.5, 2.5, 3.5, 4.5, 1 / 3]
    assert Devices().collect([1.5, 3.5], 2) == [1.5, 3.5]


def test_a_process_with_other_options_is_named(two_processes):
    devices, other = two_processes
    devices.check_same({"options": ["--seed=1"]})
    other.append(np.zeros(32, np.uint8))
    with pytest.raises(UserError, match="process 1 has other options"):
        devices.check_same({"options": ["--seed=1"]})


def test_processes_know_the_folder_that_the_first_has_made(two_processes, tmp_path):
    devices, _ = two_processes
    made = Workspace.create_once(tmp_path, ["--seed=1"], devices)
    assert devices.from_first(str(made.folder)) == str(made.folder)
    devices.process = 1
    devices.from_first = lambda text: text or str(made.folder)
    assert Workspace.create_once(tmp_path, ["--seed=1"], devices).folder == made.folder
    assert only_run(tmp_path) == made.folder
    made.unlock()


def assert_same_losses(outdir, expected, count, tolerance=1e-5):
    ours, theirs = losses(outdir)[:count], losses(expected)[:count]
    assert len(ours) == count
    assert np.allclose(ours, theirs, rtol=tolerance, atol=0), (ours, theirs)


@pytest.fixture(scope="module")
def run_of_one(dataset, cache, tmp_path_factory):
    """The folder with a run of 50 steps in one process on one device."""
    outdir = tmp_path_factory.mktemp("one")
    train_on(1, cache, "-d", dataset, "-o", outdir, *TINY, "--iterations-per-epoch", 50, "--learning-rate", 1e-4)
    return outdir


@pytest.mark.slow
@distributing
def test_two_devices_of_a_process_give_the_losses_of_one(dataset, cache, run_of_one, tmp_path):
    out = train_on(2, cache, "-d", dataset, "-o", tmp_path, *TINY, "--iterations-per-epoch", 50,
                   "--learning-rate", 1e-4)
    assert "distributed over 2 devices in 1 processes" in out
    assert_same_losses(tmp_path, run_of_one, 10)


@pytest.mark.slow
@distributing
@pytest.mark.parametrize("profile", ["wdsr-b-8", "sr-resnet"])  # the second normalizes by the statistics of a batch
def test_two_devices_begin_as_one_at_the_usual_learning_rate(dataset, cache, tmp_path, profile):
    argv = ["-d", dataset, *TINY, "--profile", profile, "--iterations-per-epoch", 10, "--learning-rate", 1e-3,
            "--log-steps", 1]
    scale = ["--scale", 4] if profile == "sr-resnet" else []
    for count in (1, 2):
        train_on(count, cache, *argv, *scale, "-o", tmp_path / str(count))
    assert_same_losses(tmp_path / "2", tmp_path / "1", 10)


@pytest.mark.slow
@on_jax
@pytest.mark.parametrize("count", [2, 4])
def test_processes_give_the_losses_of_one(dataset, cache, run_of_one, tmp_path, count):
    out = train_in_processes(count, tmp_path / "logs", cache, "-d", dataset, "-o", tmp_path / "runs", *TINY,
                             "--iterations-per-epoch", 50, "--learning-rate", 1e-4)
    assert f"distributed over {count} devices in {count} processes" in out
    assert_same_losses(tmp_path / "runs", run_of_one, 10)
    for number in range(1, count):  # one process writes and prints
        assert "epoch" not in (tmp_path / "logs" / f"{number}.log").read_text()
    for name in ("history.csv", "history-steps.csv", "state/state.npz"):
        assert (only_run(tmp_path / "runs") / name).is_file()


@pytest.mark.slow
@on_jax
def test_processes_that_are_started_otherwise_are_refused(dataset, cache, tmp_path):
    argv = ["-d", dataset, "-o", tmp_path / "runs", *TINY, "--iterations-per-epoch", 4]
    assert end_codes(start_processes(2, tmp_path / "logs", cache, *argv, "--batch-size", 7)) == [1, 1]
    for number in range(2):
        assert "a batch of 7 is not to be shared evenly" in (tmp_path / "logs" / f"{number}.log").read_text()
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
@distributing
@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2), pytest.param(2, 4, marks=on_jax)])
def test_a_run_goes_on_with_another_number_of_devices(dataset, cache, tmp_path, before, after):
    argv = ["-d", dataset, *TINY, "--iterations-per-epoch", 10, "--learning-rate", 1e-4]

    def train_with(count, *words):
        if BACKEND == "jax" and count > 1:
            return train_in_processes(count, tmp_path / f"logs-{count}", cache, *words)
        return train_on(count, cache, *words)

    train_on(1, cache, *argv, "-o", tmp_path / "whole", "--epochs", 2)
    train_with(before, *argv, "-o", tmp_path / "part")
    arrays, _ = read_state(Workspace(only_run(tmp_path / "part")).state_path)
    done = train_with(before, "--auto-resume", *argv, "-o", tmp_path / "part")
    assert "has done its 1 epochs" in done
    train_with(after, "--resume", only_run(tmp_path / "part"), "--epochs", 2)
    assert_same_losses(tmp_path / "part", tmp_path / "whole", 4)
    resumed, progress = read_state(Workspace(only_run(tmp_path / "part")).state_path)
    whole, _ = read_state(Workspace(only_run(tmp_path / "whole")).state_path)
    assert progress.epoch == 2
    for name, array in whole.items():
        assert arrays[name].shape == resumed[name].shape == array.shape
        assert np.allclose(resumed[name], array, rtol=1e-3, atol=1e-4), name


@pytest.fixture
def endless(dataset, cache, tmp_path):
    """Two processes that train until they are stopped, a second epoch of which is done: (processes, run, logs)."""
    processes = start_processes(2, tmp_path / "logs", cache, "-d", dataset, "-o", tmp_path / "runs", *TINY,
                                "--iterations-per-epoch", 50, "--epochs", 1000)
    wait_for(lambda: "epoch 2/1000 - " in (tmp_path / "logs" / "0.log").read_text(), processes[0], 300)
    yield processes, only_run(tmp_path / "runs"), tmp_path / "logs"
    for process in processes:
        process.kill()


@pytest.mark.slow
@on_jax
@pytest.mark.parametrize(("number", "victims"), [(signal.SIGTERM, [1]), (signal.SIGINT, [0, 1])])
def test_a_signal_to_any_process_stops_all_at_the_same_step(endless, cache, number, victims):
    processes, run, logs = endless
    for victim in victims:
        processes[victim].send_signal(number)
    assert end_codes(processes, 60) == [128 + number] * 2
    progress = progress_of(run)
    assert f"stopped after step {progress.step} of epoch {progress.epoch + 1}" in (logs / "0.log").read_text()
    assert f"python train.py --distribute --resume {run}" in (logs / "0.log").read_text()
    out = train_on(1, cache, "--resume", run, "--epochs", progress.epoch + 1)
    assert f"goes on after epoch {progress.epoch}, step {progress.step}" in out


@pytest.mark.slow
@on_jax
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_ends_the_other_with_a_clear_message_and_the_last_state_intact(
        endless, cache, tmp_path, victim):
    processes, run, logs = endless
    processes[victim].kill()
    codes = end_codes(processes, 60)
    assert codes[victim] == -signal.SIGKILL
    assert codes[1 - victim] not in (0, None)
    text = (logs / f"{1 - victim}.log").read_text()
    assert ("another process of this training has ended" in text
            or "This most likely indicates that another task died" in text), text  # JAX's own, where it is faster
    progress = progress_of(run)
    assert progress.epoch >= 2
    copy = shutil.copytree(run, tmp_path / "copy" / run.name)
    outcomes = []
    for folder, count in ((run, 2), (copy, 1)):
        argv = ["--resume", folder, "--epochs", progress.epoch + 1]
        if count == 2:
            train_in_processes(2, tmp_path / "again", cache, *argv)
        else:
            train_on(1, cache, *argv)
        outcomes.append(progress_of(folder).history[-1]["loss"])
    assert outcomes[0] == pytest.approx(outcomes[1], rel=1e-3)


@pytest.mark.slow
def test_torch_ends_with_one_line():
    if BACKEND != "torch":
        pytest.skip("of PyTorch")
    done = subprocess.run([sys.executable, "train.py", "--distribute"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Keras 3.16" in done.stderr
