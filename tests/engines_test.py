"""What computes networks: Keras, or OpenVINO where it is installed."""

import importlib.util

import keras
import numpy as np
import pytest

import demo
import evaluate
import weights
from errors import UserError
from model import edsr, wdsr_b
from model.networks import NETWORKS, build_network
from super_resolution import SuperResolver, engines, load
from super_resolution.engines import choose_engine
from tests.conftest import assert_one_line_error, make_photo, save_photo

TOLERANCE = 0.01  # of 255 grey levels

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow hands networks to OpenVINO")


@pytest.fixture
def installed(monkeypatch):
    """Makes OpenVINO look installed, or not."""
    def install(is_there):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: is_there or None)
    return install


def test_openvino_is_taken_where_it_is_installed_and_can_be_used(installed, monkeypatch):
    installed(True)
    assert choose_engine() == "openvino"
    assert choose_engine("keras") == "keras"
    assert choose_engine(precision="bfloat16") == "keras"
    monkeypatch.setattr(engines, "on_gpu", lambda: True)
    assert choose_engine() == "keras"


def test_where_openvino_is_asked_for_and_cannot_be_used_the_reason_is_given(installed, monkeypatch):
    installed(False)
    assert choose_engine() == "keras"
    with pytest.raises(UserError, match=r"not installed: pip install -r requirements/openvino\.txt"):
        choose_engine("openvino")
    installed(True)
    with pytest.raises(UserError, match="used for float32, not for float16"):
        choose_engine("openvino", "float16")
    with pytest.raises(UserError, match="engine fast is not supported: choose auto, keras, openvino"):
        load(engine="fast")
    monkeypatch.setattr(engines, "on_gpu", lambda: True)
    with pytest.raises(UserError, match="there is a GPU"):
        choose_engine("openvino")


@pytest.mark.parametrize("script", [demo, evaluate])
def test_scripts_refuse_an_engine_that_cannot_be_used(run_main, tmp_path, script):
    photo = save_photo(tmp_path / "photos" / "a.png", make_photo(24, 24))
    argv = {demo: ["-i", photo, "-o", tmp_path / "out"],
            evaluate: ["--images", photo.parent, "-i", "wdsr-b-8-x4", "-o", tmp_path / "eval.json"]}[script]
    result = run_main(script, *argv, "--engine", "openvino", "--precision", "bfloat16")
    assert_one_line_error(result, "OpenVINO cannot be the engine", "float32")


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("tiles", [{}, {"tile_size": 48}, {"memory": 2}])
def test_openvino_computes_what_keras_does(name, tiles):
    pytest.importorskip("openvino", reason="requirements/openvino.txt is not installed")
    network = build_network(name, 4, num_filters=16, num_res_blocks=1, growth=8)
    keras_one, other = SuperResolver(network, **tiles), SuperResolver(network, engine="openvino", **tiles)
    for height, width in ((45, 61), (7, 64), (1, 1)):
        lr = make_photo(height, width)
        assert np.abs(other(lr) - keras_one(lr)).max() < TOLERANCE
    assert np.abs(SuperResolver(network, engine="openvino", self_ensemble=True)(lr)
                  - SuperResolver(network, self_ensemble=True)(lr)).max() < TOLERANCE


def test_models_of_one_network_are_compiled_anew_for_openvino(run_main, tmp_path):
    pytest.importorskip("openvino", reason="requirements/openvino.txt is not installed")
    for i in range(2):
        keras.utils.set_random_seed(i)
        weights.save(wdsr_b(2, num_filters=4, num_res_blocks=1), tmp_path / "models" / f"{i}.keras")
    save_photo(tmp_path / "photos" / "a.png", make_photo(30, 40))
    tables = []
    for engine in ("keras", "openvino"):
        argv = ["--images", tmp_path / "photos", "-i", tmp_path / "models", "-o", tmp_path / f"{engine}.json"]
        code, out, _ = run_main(evaluate, *argv, "--engine", engine)
        assert code == 0
        assert ("computed by OpenVINO" in out) == (engine == "openvino")
        tables.append((tmp_path / f"{engine}.json").read_text())
    values = [[float(line.split(":")[1].strip(" ,")) for line in table.splitlines() if ":" in line] for table in tables]
    assert values[0][0] != values[0][1]
    assert values[1] == pytest.approx(values[0], abs=1e-3)


def test_demo_says_that_openvino_computes(run_main, tmp_path):
    pytest.importorskip("openvino", reason="requirements/openvino.txt is not installed")
    weights.save(edsr(2, num_filters=4, num_res_blocks=1), tmp_path / "model.keras")
    photo = save_photo(tmp_path / "a.png", make_photo(30, 40))
    code, out, _ = run_main(demo, "-i", photo, "-m", tmp_path / "model.keras", "-o", tmp_path / "out")
    assert code == 0
    assert "model: x2, computed by OpenVINO" in out
