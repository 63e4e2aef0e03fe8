"""What computes a network: the Keras backend, or OpenVINO, which is faster on CPUs."""

import functools
import importlib.util
import os
import tempfile
from pathlib import Path

import keras
import numpy as np

from choices import ENGINES
from errors import UserError
from model.common import multiply_pointwise


def choose_engine(name="auto", precision="float32"):
    """Returns 'keras' or 'openvino': `name`, or for 'auto' OpenVINO where it is installed and can be used.

    Raises:
        UserError: OpenVINO was asked for and cannot be used.
    """
    if name not in ENGINES:
        raise UserError(f"engine {name} is not supported: choose {', '.join(ENGINES)}")
    if name == "keras":
        return name
    reason = _why_not_openvino(precision)
    if name == "openvino" and reason:
        raise UserError(f"OpenVINO cannot be the engine: {reason}")
    return "keras" if reason else "openvino"


def compiler(engine):
    """Returns a function that makes of a `keras.Model` a function of a batch, float32 (N, H, W, C), as fast as the
    engine computes it; what that returns is the backend's tensor or an array."""
    return _openvino_forward if engine == "openvino" else {
        "tensorflow": _tensorflow_forward, "jax": _jax_forward, "torch": _torch_forward}[keras.backend.backend()]


def to_array(result):
    """Returns what a compiled network has returned as an array, on the CPU of TensorFlow and JAX without a copy."""
    return keras.ops.convert_to_numpy(result) if keras.backend.backend() == "torch" else np.asarray(result)


def send_back(results):
    """Lets the device send what a compiled network returns, a tensor or several, to the host as soon as it is done,
    while the host does something else; JAX alone can."""
    if keras.backend.backend() == "jax":
        for result in keras.tree.flatten(results):
            result.copy_to_host_async()
    return results


def on_gpu():
    """Whether the Keras backend computes on a GPU, which goes on while the host does something else."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return bool(tf.config.list_physical_devices("GPU"))
    if backend == "jax":
        import jax

        return jax.default_backend() != "cpu"
    import torch

    return torch.cuda.is_available()


def _why_not_openvino(precision):
    """Returns why OpenVINO cannot be used, None if it can."""
    if precision != "float32":
        return f"it is used for float32, not for {precision}"
    if keras.backend.backend() != "tensorflow":
        return f"TensorFlow hands networks to it, not {keras.backend.backend()}: set KERAS_BACKEND=tensorflow"
    if on_gpu():
        return "there is a GPU, and it is for CPUs"
    if importlib.util.find_spec("openvino") is None:
        return "it is not installed: pip install -r requirements/openvino.txt"
    return None


def _openvino_forward(model):
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    graph = convert_variables_to_constants_v2(_tensorflow_forward(model).get_concrete_function()).graph.as_graph_def()
    core = _openvino_core()
    with tempfile.TemporaryDirectory() as folder:  # its own reader of such files reports nothing to anyone
        path = Path(folder) / "network.pb"
        path.write_bytes(graph.SerializeToString())
        compiled = core.compile_model(core.read_model(path), "CPU")
    return lambda batch: compiled(np.ascontiguousarray(batch))[0]


@functools.cache
def _openvino_core():
    import openvino

    core = openvino.Core()
    # Some CPUs would compute in bfloat16 without the hint.
    options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if "OMP_NUM_THREADS" in os.environ:
        options["INFERENCE_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"]
    core.set_property({"ENABLE_MMAP": False})  # the files are gone once they are read
    core.set_property("CPU", options)
    return core


def _tensorflow_forward(model):
    import tensorflow as tf

    batch = model.inputs[0]
    # A partial, since TensorFlow counts the graphs of one function, and would warn when many networks are loaded.
    return tf.function(functools.partial(model, training=False),
                       input_signature=[tf.TensorSpec((None, None, None, batch.shape[-1]), batch.dtype)])


def _jax_forward(model):
    import jax

    multiply_pointwise(model)

    @jax.jit
    def forward(trainable, non_trainable, batch):
        return model.stateless_call(trainable, non_trainable, batch, training=False)[0]

    def call(batch):
        return forward([v.value for v in model.trainable_variables], [v.value for v in model.non_trainable_variables],
                       batch)

    return call


def _torch_forward(model):
    import torch

    def forward(batch):
        with torch.inference_mode():
            return model(batch, training=False)

    return forward
