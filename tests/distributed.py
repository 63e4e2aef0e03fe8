"""Trainings on several devices and in several processes, which a CPU is divided into."""

import csv
import os
import socket
import subprocess
import sys
import time

import keras

from tests.conftest import ROOT
from tests.runs import only_run

# Loads a script with so many logical devices of TensorFlow, which must be made before the first computation.
LOGICAL_DEVICES = """
import sys, tensorflow as tf
cpu, = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * int(sys.argv.pop(1)))
sys.path.insert(0, "")
import train
from command_line import run
sys.exit(run(train.main, train.parse_args()))
"""


def environment(cache, num_devices=1):
    """Returns the variables of a process with `num_devices` devices of JAX, which keeps what it compiles in `cache`."""
    return os.environ | {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={num_devices}", "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}


def train_on(num_devices, cache, *argv):
    """Runs train.py in one process with so many devices, distributed where they are several; returns its output."""
    program = ["-c", LOGICAL_DEVICES, str(num_devices)] if keras.backend.backend() == "tensorflow" else ["train.py"]
    words = [*argv, *(["--distribute"] if num_devices > 1 else [])]
    done = subprocess.run([sys.executable, *program, *map(str, words)], cwd=ROOT, env=environment(cache, num_devices),
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def start_processes(count, logs, cache, *argv):
    """Starts so many processes of one training on JAX, which write to logs/0.log and so on; returns them."""
    logs.mkdir(parents=True, exist_ok=True)
    group = ["--distribute", "--coordinator", f"127.0.0.1:{free_port()}", "--num-processes", str(count)]
    processes = []
    for number in range(count):
        with open(logs / f"{number}.log", "w") as log:
            processes.append(subprocess.Popen(
                [sys.executable, "train.py", *map(str, argv), *group, "--process-id", str(number)], cwd=ROOT,
                env=environment(cache), stdout=log, stderr=subprocess.STDOUT))
    return processes


def end_codes(processes, seconds=300):
    """Returns the exit codes of processes once they have ended; those that do not end in time are killed."""
    deadline = time.monotonic() + seconds
    try:
        return [process.wait(max(deadline - time.monotonic(), 0.1)) for process in processes]
    finally:
        for process in processes:
            process.kill()


def train_in_processes(count, logs, cache, *argv):
    """Runs train.py in so many processes, which must succeed; returns the output of the first."""
    codes = end_codes(start_processes(count, logs, cache, *argv))
    assert codes == [0] * count, "\n".join(path.read_text() for path in sorted(logs.glob("*.log")))
    return (logs / "0.log").read_text()


def losses(outdir):
    """Returns the losses in history-steps.csv of the one run in `outdir`."""
    with open(only_run(outdir) / "history-steps.csv", encoding="utf-8", newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]
