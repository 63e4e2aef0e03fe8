"""What a GPU did while it was measured: how long nothing, and with how much memory."""

import contextlib
import os
import subprocess
import threading

import keras


class Idle:
    """Asks nvidia-smi, within a `with` block, how much of the time the GPU works; `waits` is the share without work.

    It is None where there is no nvidia-smi.
    """

    def __enter__(self):
        command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "200", "-i",
                   os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0] or "0"]
        self.shares, self.process = [], None
        with contextlib.suppress(OSError):
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            self.reader = threading.Thread(target=self.read)
            self.reader.start()
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.kill()
            self.reader.join()
            self.process.wait()

    def read(self):
        """Reads what nvidia-smi says until it ends."""
        self.shares += [int(line) for line in self.process.stdout if line.strip().isdecimal()]

    @property
    def waits(self):
        """The share of time in which the GPU has done nothing."""
        inner = self.shares[1:-1]  # nvidia-smi looks back: the first and the last see more than the block
        return 1 - sum(inner) / len(inner) / 100 if inner else None


def peak_memory():
    """Returns the most bytes that the Keras backend has had on the GPU, None on a CPU."""
    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
    if backend == "jax":
        import jax

        return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_memory_info("GPU:0")["peak"] if gpus else None
