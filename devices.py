"""Choosing the Keras backend's devices, before anything is computed on them."""

import os
import subprocess


def limit_gpu_memory(fraction):
    """Lets the Keras backend take at most `fraction` of each GPU's memory; call it before the first computation.

    Where the total memory of a GPU cannot be read (no nvidia-smi), TensorFlow takes memory as it needs it.
    """
    os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", str(fraction))  # JAX reads it when it is imported
    import keras

    if keras.backend.backend() == "tensorflow":
        _limit_tensorflow(fraction)
    elif keras.backend.backend() == "torch":
        import torch

        for device in range(torch.cuda.device_count()):
            torch.cuda.set_per_process_memory_fraction(fraction, device)


def _limit_tensorflow(fraction):
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    totals = _gpu_memory_mib() if gpus else []
    for gpu, total in zip(gpus, totals + [None] * len(gpus), strict=False):
        if total is None:
            tf.config.experimental.set_memory_growth(gpu, True)
        else:
            limit = tf.config.LogicalDeviceConfiguration(memory_limit=int(total * fraction))
            tf.config.set_logical_device_configuration(gpu, [limit])


def _gpu_memory_mib():
    """Returns the memory of each visible GPU in MiB, or an empty list where that is not known."""
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible:
        command.append(f"--id={visible}")
    try:
        lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.split()
        return [int(line) for line in lines]
    except (OSError, ValueError, subprocess.SubprocessError):
        return []
