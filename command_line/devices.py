"""Making the Keras backend ready: its defaults, its devices, and their memory."""

import os
import subprocess
import sys


def prepare_backend(gpu_memory_fraction, connect=lambda: None, tf32=False, trains=False):
    """Makes Keras ready for a script: its defaults, the share of each GPU's memory, and a line that names the devices.

    The scripts work NHWC and in float32 whatever a user's keras.json says.

    Args:
        gpu_memory_fraction: as of `limit_gpu_memory`.
        connect: function that is called before the devices are looked at, as joining other processes must be.
        tf32: as for `choose_tf32`.
        trains: whether networks are trained.
    """
    if trains:
        use_onednn()
    limit_gpu_memory(gpu_memory_fraction)
    import keras

    connect()

    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    choose_tf32(tf32)
    report_devices()


def use_onednn():
    """Lets TensorFlow compute with oneDNN on every x86 CPU; call it before TensorFlow is imported.

    By itself it does so on newer CPUs alone. On those with AVX2 a training step takes 0.7 to 0.95 of the time, and
    images whose features exceed some 600 x 700 pixels take very long, so that it is for training, which validates in
    tiles.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


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


def choose_tf32(is_allowed):
    """Says whether NVIDIA GPUs may round the factors of float32 products to TF32's 11 bits, which is faster.

    The backends' own defaults differ: TensorFlow rounds everywhere, PyTorch in convolutions.
    """
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(is_allowed)
    elif backend == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "tensorfloat32" if is_allowed else "float32")
    elif backend == "torch":
        import torch

        torch.backends.cuda.matmul.allow_tf32 = is_allowed
        torch.backends.cudnn.allow_tf32 = is_allowed


def report_devices():
    """Prints the Keras backend and its devices, and a warning if there is a GPU that the backend does not use."""
    import keras

    backend = keras.backend.backend()
    gpus = _FIND_GPUS[backend]()
    print(f"{backend}: {', '.join(gpus) if gpus else 'CPU'}")
    present = _nvidia_smi("--query-gpu=name")
    if present and not gpus:
        print(f"warning: {', '.join(present)} is there but {backend} does not use it; requirements/gpu.txt installs "
              "what TensorFlow needs for it", file=sys.stderr)


def _tensorflow_gpus():
    import tensorflow as tf

    return [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
            for gpu in tf.config.list_physical_devices("GPU")]


def _jax_gpus():
    import jax

    return [device.device_kind for device in jax.devices() if device.platform != "cpu"]


def _torch_gpus():
    import torch

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


_FIND_GPUS = {"tensorflow": _tensorflow_gpus, "jax": _jax_gpus, "torch": _torch_gpus}


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
    return [int(line) for line in _nvidia_smi("--query-gpu=memory.total") if line.isdigit()]


def _nvidia_smi(query):
    """Returns the answer of nvidia-smi for each visible GPU; an empty list where it cannot be asked."""
    command = ["nvidia-smi", query, "--format=csv,noheader,nounits"]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible == "":  # the user hides the GPUs
        return []
    if visible:
        command.append(f"--id={visible}")
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return []
