"""The files of other runtimes, ONNX, OpenVINO, LiteRT and SavedModel: how each is written and run."""

import contextlib
import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from errors import UserError
from files import atomic_folder, atomic_path

FACTS = "facts.json"  # name of the facts in a LiteRT file, which is a ZIP file as well, and in a SavedModel


class Export(NamedTuple):
    """What is to be written.

    Attributes:
        model: the network, in float32.
        half: the same as it computes in float16 where that is exact enough; None for float32.
        facts: dict of text, which the file carries.
        opset: of ONNX.
    """

    model: keras.Model
    half: keras.Model | None
    facts: dict
    opset: int


class Runtime(NamedTuple):
    """A row of `RUNTIMES`.

    Attributes:
        name: as users know it.
        modules: that writing and running need, beside TensorFlow.
        write: writes an `Export` to a path.
        run: takes a path and returns a function of a batch (N, H, W, 3), float32, that the runtime computes.
        has_half: whether the format holds float16.
        place: yields the path to be written to, and renames it in the end.
    """

    name: str
    modules: tuple
    write: Callable
    run: Callable
    has_half: bool = True
    place: Callable = atomic_path


def _save_model(path, model):
    """Writes a SavedModel."""
    model(np.zeros((1, 8, 8, 3), np.float32))  # only what was called is exported
    model.export(path, format="tf_saved_model", verbose=False)


def _write_onnx(path, export):
    import onnx

    model = export.model if export.half is None else export.half
    model(np.zeros((1, 8, 8, 3), np.float32))
    model.export(path, format="onnx", verbose=False, opset_version=export.opset)
    made = onnx.load(path)
    _name_tensors(made.graph)
    onnx.helper.set_model_props(made, export.facts)
    onnx.checker.check_model(made)
    onnx.save(made, path)


def _name_tensors(graph):
    """Names the input, the output and their free sizes."""
    for value, name, sizes in ((graph.input[0], "lr", ("height", "width")),
                               (graph.output[0], "sr", ("sr_height", "sr_width"))):
        before, value.name = value.name, name
        for node in graph.node:
            for names in (node.input, node.output):
                names[:] = [name if other == before else other for other in names]
        for dimension, size in zip(value.type.tensor_type.shape.dim, ("batch", *sizes), strict=False):
            dimension.dim_param = size


def _run_onnx(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda batch: session.run(None, {"lr": batch})[0]


def _write_openvino(path, export):
    import openvino

    with tempfile.TemporaryDirectory() as folder:  # its own reader of ONNX is exact, and reports nothing to anyone
        onnx_path = Path(folder) / "model.onnx"
        _write_onnx(onnx_path, export._replace(half=None))
        made = openvino.Core().read_model(onnx_path)
    for name, text in export.facts.items():
        made.set_rt_info(text, ["super_resolution", name])
    openvino.save_model(made, path, compress_to_fp16=export.half is not None)


@contextlib.contextmanager
def _openvino_place(target):
    """Yields the path of the .xml file; the .bin file beside it is in its place first."""
    with atomic_path(target) as temporary, atomic_path(target.with_suffix(".bin")) as weights:
        yield temporary
        written = temporary.with_suffix(".bin")
        if written != weights:  # behind symbolic links the two may lie apart
            written.rename(weights)


def _run_openvino(path):
    import openvino

    # Some CPUs would compute in bfloat16 without the hint.
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda batch: compiled(batch)[0]


class Resizing(keras.layers.UpSampling2D):
    """Repeats pixels by an operation that LiteRT has; what Keras does hides the number of channels from it."""

    def call(self, inputs):
        import tensorflow as tf

        return tf.image.resize(inputs, tf.shape(inputs)[1:3] * self.size, "nearest")


def _for_litert(model):
    def clone(layer):
        kind = Resizing if isinstance(layer, keras.layers.UpSampling2D) else type(layer)
        return kind.from_config(layer.get_config())

    cloned = keras.models.clone_model(model, clone_function=clone)
    cloned.set_weights(model.get_weights())
    return keras.Model(cloned.inputs[0], cloned.outputs[0], name=model.name)


def _write_litert(path, export):
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        _save_model(folder, _for_litert(export.model))
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if export.half is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        path.write_bytes(converter.convert())
    with zipfile.ZipFile(path, "a") as archive:  # behind the model, as LiteRT's own tools add files
        archive.writestr(FACTS, json.dumps(export.facts, indent=1))


def _run_litert(path):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    (lr,), (sr,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(batch):
        interpreter.resize_tensor_input(lr["index"], batch.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(lr["index"], batch)
        interpreter.invoke()
        return interpreter.get_tensor(sr["index"])

    return run


def _write_saved_model(path, export):
    _save_model(path, export.model)
    extra = path / "assets.extra"  # the place for files that TensorFlow does not look at
    extra.mkdir()
    (extra / FACTS).write_text(json.dumps(export.facts, indent=1), encoding="utf-8")


@contextlib.contextmanager
def _saved_model_place(target):
    """Yields the path of a folder, which replaces an older SavedModel and nothing else."""
    is_empty = target.is_dir() and not any(target.iterdir())
    if target.exists() and not is_empty and not (target / "saved_model.pb").is_file():
        raise UserError(f"{target}: is there and no SavedModel: name a new folder, or a file that ends in "
                        f"{', '.join(filter(None, RUNTIMES))}")
    with atomic_folder(target) as temporary:
        yield temporary


def _run_saved_model(path):
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    return lambda batch: loaded.serve(batch).numpy()


RUNTIMES = {  # by suffix
    ".onnx": Runtime("ONNX", ("onnx", "tf2onnx", "onnxruntime"), _write_onnx, _run_onnx),
    ".xml": Runtime("OpenVINO", ("onnx", "tf2onnx", "openvino"), _write_openvino, _run_openvino, True, _openvino_place),
    ".tflite": Runtime("LiteRT", ("ai_edge_litert.interpreter",), _write_litert, _run_litert),
    "": Runtime("SavedModel", (), _write_saved_model, _run_saved_model, False, _saved_model_place),
}
