"""The most memory that an evaluation has taken."""

import contextlib
import sys
from pathlib import Path

import keras

PROCESS = Path("/proc/self")
MIB = 2**20


def reset_peak_memory():
    """Lets `peak_memory` begin anew, where the system or the backend can do that; JAX on a GPU cannot."""
    if (device := _gpu()) is not None:
        device.reset()
    elif sys.platform == "linux":
        with contextlib.suppress(OSError):  # not allowed in some containers: the peak is that since the start
            (PROCESS / "clear_refs").write_text("5", encoding="ascii")


def peak_memory():
    """Returns the peak in MiB: of what the backend has taken on a GPU, or of the whole process; None if unknown."""
    if (device := _gpu()) is not None:
        return device.peak() / MIB
    if sys.platform != "linux":
        return None
    lines = (PROCESS / "status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


class _TensorFlow:
    def __init__(self):
        import tensorflow as tf

        self.memory, self.found = tf.config.experimental, bool(tf.config.list_physical_devices("GPU"))

    def reset(self):
        self.memory.reset_memory_stats("GPU:0")

    def peak(self):
        return self.memory.get_memory_info("GPU:0")["peak"]


class _Torch:
    def __init__(self):
        import torch

        self.memory, self.found = torch.cuda, torch.cuda.is_available()

    def reset(self):
        self.memory.reset_peak_memory_stats()

    def peak(self):
        return self.memory.max_memory_allocated()


class _JAX:
    def __init__(self):
        import jax

        self.device = jax.devices()[0]
        self.found = self.device.platform == "gpu"

    def reset(self):
        """Does nothing."""

    def peak(self):
        return self.device.memory_stats()["peak_bytes_in_use"]


BACKENDS = {"tensorflow": _TensorFlow, "torch": _Torch, "jax": _JAX}


def _gpu():
    """Returns the GPU of the Keras backend, None without one."""
    device = BACKENDS[keras.backend.backend()]()
    return device if device.found else None
