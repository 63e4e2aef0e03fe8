"""Processes under test: starting scripts, finding what they have started, and waiting."""

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

from tests.conftest import ROOT


class Started:
    """A Python process in a group of its own, whose descendants are known by a mark in their environment."""

    def __init__(self, *argv, **environment):
        self.mark = f"SR_TEST_MARK={uuid.uuid4()}"
        name, value = self.mark.split("=")
        self.process = subprocess.Popen(
            [sys.executable, *map(str, argv)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="surrogateescape", start_new_session=True, env={**os.environ, **environment, name: value},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))  # the tests may ignore it

    def wait_until(self, condition, seconds=60):
        """Waits until `condition()` is true while the process runs, and returns what it returns."""
        deadline = time.monotonic() + seconds
        while not (result := condition()):
            assert self.process.poll() is None, self.process.stdout.read()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        return result

    def signal_group(self, number, times=1):
        """Sends a signal to the process and its descendants, as a terminal does."""
        for _ in range(times):
            os.killpg(self.process.pid, number)
            time.sleep(0.1)

    def workers(self):
        """Returns the ids of the worker processes that are there."""
        return [pid for pid in self.alive() if b"spawn_main" in _read(pid, "cmdline")]

    def alive(self):
        """Returns the ids of the processes that are there."""
        pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
        return [pid for pid in pids if self.mark.encode() in _read(pid, "environ")]

    def left(self, seconds=5):
        """Returns the ids of the processes that are still there after so many seconds."""
        deadline = time.monotonic() + seconds
        while (pids := self.alive()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return pids

    def end(self, seconds=60):
        """Waits for the end and returns (exit code, output)."""
        out, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode, out


def _read(pid, name):
    try:
        return (Path("/proc") / str(pid) / name).read_bytes()
    except OSError:  # it has ended
        return b""
