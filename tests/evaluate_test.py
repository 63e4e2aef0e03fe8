import json

import keras
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

import evaluate
from model import save_model, wdsr_b
from tests.conftest import assert_one_line_error, to_numpy


@pytest.fixture
def models(tmp_path):
    """A folder of two models for scale 2, one of them in a subfolder, and what they are."""
    networks = {}
    for seed, name in enumerate(("epoch-001.keras", "below/epoch-002.keras")):
        keras.utils.set_random_seed(seed)
        networks[name] = wdsr_b(2, num_filters=4, num_res_blocks=1)
        save_model(networks[name], tmp_path / "models" / name)
    return tmp_path / "models", networks


def expected_psnr(network, dataset):
    """Computes the PSNR of the original protocol: full size, RGB, no border, float outputs."""
    values = []
    for image_id in (7, 8):
        hr = np.load(dataset / "DIV2K_valid_HR" / f"{image_id:04d}.npy")
        lr = np.load(dataset / "DIV2K_valid_LR_bicubic" / "X2" / f"{image_id:04d}x2.npy")
        sr = to_numpy(network(lr[None].astype("float32")))[0]
        hr = hr[:sr.shape[0], :sr.shape[1]]
        values.append(peak_signal_noise_ratio(hr.astype(float), sr.astype(float), data_range=255))
    return np.mean(values)


def test_every_model_gets_its_psnr_and_the_best_is_named(run_main, models, dataset, tmp_path):
    indir, networks = models
    code, out, _ = run_main(evaluate, "--dataset", dataset, "-i", indir, "-o", tmp_path / "results" / "eval.json")
    results = json.loads((tmp_path / "results" / "eval.json").read_text())
    assert code == 0
    expected = {name: expected_psnr(network, dataset) for name, network in networks.items()}
    assert results == pytest.approx(expected, abs=1e-4)
    best = max(expected, key=expected.get)
    assert out.splitlines()[-1] == f"Best PSNR = {results[best]:.4f} for model {indir / best}"


def test_a_nan_is_null_and_never_the_best(run_main, models, dataset, tmp_path):
    indir, networks = models
    broken = networks["epoch-001.keras"]
    broken.set_weights([weight * np.nan for weight in broken.get_weights()])
    save_model(broken, indir / "broken.keras")
    _, out, _ = run_main(evaluate, "-d", dataset, "-i", indir, "-o", tmp_path / "eval.json")
    assert json.loads((tmp_path / "eval.json").read_text())["broken.keras"] is None
    assert "nan for model" in out
    assert "broken" not in out.splitlines()[-1]


def test_a_model_that_fails_is_reported_and_the_others_go_on(run_main, models, dataset, tmp_path):
    indir, networks = models
    (indir / "cut.keras").write_bytes((indir / "epoch-001.keras").read_bytes()[:999])
    code, out, err = run_main(evaluate, "-d", dataset, "-i", indir, "-o", tmp_path / "eval.json")
    assert code == 1
    assert f"failed: {indir / 'cut.keras'}: cannot be loaded as a Keras model" in err
    assert set(json.loads((tmp_path / "eval.json").read_text())) == set(networks)
    assert "Best PSNR" in out


def test_a_model_of_another_scale_is_named(run_main, models, dataset, tmp_path):
    indir, _ = models
    result = run_main(evaluate, "-d", dataset, "-i", indir, "-o", tmp_path / "eval.json", "--scale", 3)
    assert f"{indir / 'epoch-001.keras'}: is a model for scale 2, not for --scale 3" in result[2]
    assert_one_line_error(result, indir, "none of its 2 models could be evaluated")
    assert not (tmp_path / "eval.json").exists()


def test_bad_input_is_named(run_main, models, dataset, tmp_path):
    indir, _ = models
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for argv, parts in (
            (["-i", tmp_path / "gone"], [tmp_path / "gone", "there is no such folder"]),
            (["-i", tmp_path / "empty"], [tmp_path / "empty", "there are no .keras models in it"]),
            (["-i", indir, "-o", tmp_path / "empty"], [tmp_path / "empty", "is a folder"]),
            (["-i", indir, "-o", tmp_path / "file" / "a.json"], [tmp_path / "file", "cannot be a folder"])):
        assert_one_line_error(run_main(evaluate, "-d", dataset, *argv), *parts)
