"""Reading HDF5 files from anybody: arrays and the configuration's text, and nothing is executed.

A process of its own parses the file (`weights.hdf5_reader`) and says where its arrays lie; here they are taken.
A file is refused where it would lead to other files, or make more of itself than it holds.
"""

import atexit
import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np

from errors import UserError
from weights.plain_json import parse_json, printable
from weights.tensors import MAX_ELEMENTS, Tensor, to_float32

MAX_BYTES = 4 * MAX_ELEMENTS + 2**24
SIGNATURE = b"\x89HDF\r\n\x1a\n"
MAX_SECONDS = 60  # of waiting, for a machine under load; the reader's own limit of computing is less


def read_hdf5(path):
    """Reads a file of Keras 2 or 3 of weights, or of a whole model.

    Returns:
        The layers that have weights, in the file's order: a list of (name, {short weight name: Tensor}), where the
        short name is a number in weights of Keras 3; and the configuration of a whole model as parsed JSON, or None.

    Raises:
        UserError: the file is damaged, is none of Keras 2, or is refused.
    """
    path = Path(path)
    size = path.stat().st_size if path.is_file() else 0
    if size > MAX_BYTES:
        raise UserError(f"{path}: has {size:,} bytes: far more than such a network needs")
    layers, config = read_layers(path, path.read_bytes() if size else b"", "keras2")
    return layers, None if config is None else parse_json(path, config)


def read_layers(where, content, layout):
    """Reads the arrays of an HDF5 file.

    Args:
        where: names the file in errors.
        content: bytes of the file.
        layout: 'keras2', or 'keras3': the weights inside a .keras file.

    Returns:
        The layers that have weights: a list of (name, {short weight name: Tensor}), and a configuration's text or None.

    Raises:
        UserError: the file is damaged, has another layout, or is refused.
    """
    if not content.startswith(SIGNATURE):
        raise UserError(f"{where}: is no HDF5 file, or a damaged one")
    found = _locate(where, content, layout)
    layers, budget = [], len(content)
    for name, located in found["layers"]:
        tensors = {}
        for short, full_name, dtype, shape, offset in located:
            count = math.prod(shape)
            budget -= count * np.dtype(dtype).itemsize
            if budget < 0 or offset + count * np.dtype(dtype).itemsize > len(content):
                raise UserError(f"{where}: tensor {full_name} claims the shape {tuple(shape)}, which the file does not "
                                "hold beside the others")
            array = np.frombuffer(content, dtype, count, offset).reshape(shape).copy()  # aligned, and writable
            tensors[short] = Tensor(full_name, to_float32(where, full_name, array))
        layers.append((name, tensors))
    return layers, found["config"]


def _locate(where, content, layout):
    """Returns what the reader says of `content`."""
    lines, code, late = READER.ask({"layout": layout, "max_elements": MAX_ELEMENTS, "size": len(content)}, content)
    if late:
        raise UserError(f"{where}: takes longer than {MAX_SECONDS} s to read: it may be damaged")
    if code:
        cause = (lines or ["the HDF5 library fails or loops"])[-1]
        raise UserError(f"{where}: cannot be read as HDF5, it may be damaged: {printable(cause)}")
    found = json.loads(lines[-1])
    if "error" in found:
        raise UserError(f"{where}: {printable(found['error'], 1000)}")
    return found


class Reader:
    """The process that forks one for each file; it is started by the first file and ends with this process."""

    def __init__(self, script):
        self._script = script
        self._process = None
        self._asking = threading.Lock()

    def ask(self, request, content):
        """Returns the lines that the reader prints, its exit code, and whether it took longer than MAX_SECONDS."""
        with self._asking:
            try:
                return self._ask(request, content)
            except BaseException:  # whatever it is, a Ctrl-C too: the rest of the answer is not for the next file
                self.end()
                raise

    def _ask(self, request, content):
        if self._process is None or self._process.poll() is not None:
            self.end()
            self._start()
        process, lines, late = self._process, [], threading.Event()
        timer = threading.Timer(MAX_SECONDS, _kill, (process, late))
        timer.start()
        try:
            with contextlib.suppress(BrokenPipeError):  # its exit code says it
                process.stdin.write(json.dumps(request).encode() + b"\n")
                process.stdin.write(content)
                process.stdin.flush()
            for line in process.stdout:
                line = line.decode(errors="replace").strip()
                if line.startswith("end "):
                    return lines, int(line.split()[1]), False
                lines.append(line)
            return lines, process.wait(), late.is_set()
        finally:
            timer.cancel()

    def _start(self):
        # A session of its own: a Ctrl-C is for this process, which ends the reader.
        self._process = subprocess.Popen(
            [sys.executable, "-P", self._script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})

    def end(self):
        """Ends the process; the next file starts another."""
        if self._process is not None:
            _kill(self._process)
            self._process.communicate()
            self._process = None


def _kill(process, late=None):
    """Kills the reader and what it has forked, and sets the event `late`."""
    if late is not None:
        late.set()
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):  # it has ended, and nothing of it is left
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


READER = Reader(Path(__file__).with_name("hdf5_reader.py"))
atexit.register(READER.end)
