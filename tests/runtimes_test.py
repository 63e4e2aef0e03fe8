"""Models written for other runtimes. What runs them is an extra: requirements/export.txt."""

import importlib.util
import json
import re
import zipfile

import keras
import numpy as np
import pytest
from PIL import Image

import convert
import pretrained
from errors import UserError
from model import keep_colours
from model.networks import NETWORKS, build_network
from super_resolution import load
from super_resolution.precision import mixed
from tests.conftest import ROOT, make_photo
from weights.runtime_files import RUNTIMES, Runtime
from weights.runtimes import HALF_TOLERANCE, OPSETS, TOLERANCE, write_runtime

FACTS = {"name": "small", "scale": "2", "halo": "9", "licence": "CC0"}
NETWORK_CASES = {
    **{name: (name, 4, {"num_filters": 16, "num_res_blocks": 2, "growth": 8}) for name in NETWORKS},
    "wdsr-b-x3": ("wdsr-b", 3, {"num_res_blocks": 1}), "edsr-x8": ("edsr", 8, {"num_res_blocks": 1}),
    "srvgg-x1": ("srvgg", 1, {"num_res_blocks": 1}),
    "rrdb-x2": ("rrdb", 2, {"num_filters": 16, "num_res_blocks": 1, "growth": 8, "unshuffle": 2}),
}
needs_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow writes the files")


def small():
    return build_network("edsr", 2, num_filters=4, num_res_blocks=1)


def network(case):
    if case == "colours":
        return keep_colours(build_network("edsr-gen", 2, num_filters=8, num_res_blocks=1), 2)
    name, scale, sizes = NETWORK_CASES[case]
    return build_network(name, scale, **sizes)


def export(target, model=None, **options):
    """Writes a small network, or `model`."""
    return write_runtime(model or small(), target, FACTS, make_photo(40, 50), **options)


def need(suffix):
    """Skips a test where the packages of a format are missing."""
    for name in RUNTIMES[suffix].modules:
        if importlib.util.find_spec(name.split(".")[0]) is None:
            pytest.skip(f"{name} is not installed: requirements/export.txt")


@pytest.fixture
def runtime(monkeypatch):
    """A function that adds a runtime, for files that end in .own, which computes what a function makes of a batch."""

    def add(run):
        model = small()
        row = Runtime("Own", (), lambda path, export: path.write_text("new"), lambda path: lambda batch: run(
            np.asarray(model(batch))))
        monkeypatch.setitem(RUNTIMES, ".own", row)
        return model

    return add


@needs_tensorflow
@pytest.mark.parametrize(("change", "complaint"), [
    (lambda sr: sr + 2 * TOLERANCE, "differs by 0.04 of 255 levels, and 0.02 is allowed"),
    (lambda sr: sr * 0, "is black"),
    (lambda sr: np.where(sr == sr.max(), np.nan, sr), "is black or no number"),
    (lambda sr: sr[:, 1:], "has the shape"),
    (lambda sr: sr if sr.shape[1] != 2 else sr + 1, "at 1 x 1 pixels"),
])
def test_a_file_with_another_output_never_gets_its_name(tmp_path, runtime, change, complaint):
    model = runtime(change)
    target = tmp_path / "model.own"
    target.write_text("older")
    with pytest.raises(UserError, match=re.escape(complaint)):
        export(target, model)
    assert target.read_text() == "older"
    assert list(tmp_path.iterdir()) == [target]


@needs_tensorflow
def test_a_file_with_the_same_output_gets_its_name_and_the_difference_is_told(tmp_path, runtime):
    model = runtime(lambda sr: sr + TOLERANCE / 2)
    assert "Own: differs from Keras' output by at most 0.01 of 255 levels" in export(tmp_path / "model.own", model)
    assert (tmp_path / "model.own").read_text() == "new"


@needs_tensorflow
def test_features_or_weights_beyond_float16_are_refused(tmp_path, runtime):
    model = runtime(lambda sr: sr)
    half = mixed(model, "mixed_float16")
    head, tail = model.get_layer("head"), model.get_layer("tail")
    for factor, complaint in ((3e4, "the features of the layer head reach"), (1e6, "weights that are too large")):
        kernel, bias = head.get_weights()
        head.set_weights([kernel * factor, bias])
        tail.set_weights([tail.get_weights()[0] / factor, tail.get_weights()[1]])
        with pytest.raises(UserError, match=complaint):
            export(tmp_path / "model.own", model, half=half)


def test_what_cannot_be_written_is_said_at_once(tmp_path, monkeypatch):
    model = small()
    with pytest.raises(UserError, match=r"model\.pt: give a file that ends in \.onnx, \.xml, \.tflite, or a folder"):
        export(tmp_path / "model.pt", model)
    with pytest.raises(UserError, match=f"opset 99 is not possible: choose {OPSETS[0]} to {OPSETS[1]}"):
        export(tmp_path / "model.onnx", model, opset=99)
    with pytest.raises(UserError, match="SavedModel has no float16"):
        export(tmp_path / "model", model, half=model)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(UserError, match="set KERAS_BACKEND=tensorflow"):
        export(tmp_path / "model.onnx", model)
    assert not list(tmp_path.iterdir())


@needs_tensorflow
def test_a_missing_package_is_named_with_the_requirements_that_bring_it(tmp_path, monkeypatch):
    monkeypatch.setitem(RUNTIMES, ".onnx", RUNTIMES[".onnx"]._replace(modules=("no_such_package",)))
    with pytest.raises(UserError, match=r"no_such_package.*pip install -r (\S+)") as error:
        export(tmp_path / "model.onnx")
    assert (ROOT / str(error.value).split()[-1]).is_file()


@needs_tensorflow
def test_a_folder_that_is_no_saved_model_stays(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "photo.png").touch()
    with pytest.raises(UserError, match="photos: is there and no SavedModel"):
        export(tmp_path / "photos")
    assert [path.name for path in tmp_path.rglob("*")] == ["photos", "photo.png"]


def test_options_of_export_are_refused_elsewhere():
    for option in (["--fp16"], ["--opset", "17"], ["--licence", "MIT"]):
        with pytest.raises(SystemExit):
            convert.parse_args(["float16", "-i", "a.keras", "-o", "b.keras", *option])
    args = convert.parse_args(["export", "-i", "a.keras", "-o", "b.onnx", "--fp16", "--opset", "18"])
    assert (args.fp16, args.opset) == (True, 18)
    assert convert.parse_args(["export", "-i", "a", "-o", "b"]).opset in range(OPSETS[0], OPSETS[1] + 1)


@needs_tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("suffix", RUNTIMES)
@pytest.mark.parametrize("case", [*NETWORK_CASES, "colours"])
def test_every_network_computes_the_same_in_every_runtime(tmp_path, case, suffix):
    need(suffix)
    model = network(case)
    photo = make_photo(40, 50)
    for half in (None, mixed(model, "mixed_float16"))[:1 + RUNTIMES[suffix].has_half]:
        target = tmp_path / f"model{suffix}"
        export(target, model, half=half)
        for lr in (photo, photo[:13, :29], photo[:1, :3]):
            ours = RUNTIMES[suffix].run(target)(lr[None].astype(np.float32))
            assert np.abs(ours - model(lr[None].astype(np.float32))).max() < (HALF_TOLERANCE if half else TOLERANCE)


@needs_tensorflow
@pytest.mark.slow
def test_onnx_carries_the_facts_and_takes_any_size_in_every_opset(tmp_path):
    need(".onnx")
    import onnx
    import onnxruntime

    for opset in OPSETS:
        export(tmp_path / "model.onnx", opset=opset)
        session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
        assert session.get_modelmeta().custom_metadata_map == FACTS
        (lr,), (sr,) = session.get_inputs(), session.get_outputs()
        assert (lr.name, lr.shape) == ("lr", ["batch", "height", "width", 3])
        assert (sr.name, sr.shape) == ("sr", ["batch", "sr_height", "sr_width", 3])
        assert {entry.domain: entry.version for entry in onnx.load(tmp_path / "model.onnx").opset_import}[""] == opset


@needs_tensorflow
@pytest.mark.slow
def test_openvino_carries_the_facts_and_is_two_files(tmp_path):
    need(".xml")
    import openvino

    sizes = {}
    for half in (None, mixed(small(), "mixed_float16")):
        export(tmp_path / "model.xml", half=half)
        assert {path.name for path in tmp_path.iterdir()} == {"model.xml", "model.bin"}
        made = openvino.Core().read_model(tmp_path / "model.xml")
        assert {name: made.get_rt_info(["super_resolution", name]).astype(str) for name in FACTS} == FACTS
        sizes[half is None] = (tmp_path / "model.bin").stat().st_size
    assert sizes[False] < 0.6 * sizes[True]


@needs_tensorflow
@pytest.mark.slow
def test_litert_and_saved_model_carry_the_facts(tmp_path):
    export(tmp_path / "model")
    export(tmp_path / "model")  # an older SavedModel is replaced
    assert json.loads((tmp_path / "model" / "assets.extra" / "facts.json").read_text()) == FACTS
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    need(".tflite")
    export(tmp_path / "model.tflite")
    with zipfile.ZipFile(tmp_path / "model.tflite") as archive:
        assert json.loads(archive.read("facts.json")) == FACTS


@needs_tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("fp16", [(), ("--fp16",)])
@pytest.mark.parametrize("name", pretrained.names())
def test_every_shipped_model_is_exported_with_its_licence(tmp_path, run_main, name, fp16):
    need(".onnx")
    import onnxruntime

    code, out, err = run_main(convert, "export", "-i", name, "-o", tmp_path / "model.onnx", *fp16)
    assert code == 0, err
    assert "ONNX: differs from Keras' output by at most" in out
    facts = onnxruntime.InferenceSession(tmp_path / "model.onnx").get_modelmeta().custom_metadata_map
    assert facts["licence"] == pretrained.models()[name]["licence"]
    assert (facts["name"], facts["scale"]) == (name, str(pretrained.models()[name]["scale"]))


@needs_tensorflow
@pytest.mark.slow
def test_the_lines_of_the_readme_enlarge_a_photo_without_keras(tmp_path, run_main, monkeypatch):
    """In tiles of 256 pixels, to the grey level."""
    need(".onnx")
    monkeypatch.chdir(tmp_path)
    photo = Image.fromarray(make_photo(301, 270))
    photo.save("photo.png")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"((?:    .*\n|\n)*    session = (?:.*\n)(?:    .*\n|\n)*)", readme)[1]
    code = "\n".join(line[4:] for line in block.splitlines())
    assert "keras" not in code
    assert len([line for line in code.splitlines() if line]) <= 20
    assert run_main(convert, "export", "-i", "wdsr-b-8-x4", "-o", "wdsr-b-8-x4.onnx")[0] == 0
    exec(compile(code, "README.md", "exec"), {})
    ours = np.asarray(Image.open("photo-sr.png"), int)
    assert np.abs(ours - load("wdsr-b-8-x4").enlarge(np.asarray(photo)).astype(int)).max() <= 1
