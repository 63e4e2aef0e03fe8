import csv
import json

import keras
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

import evaluate
import weights
from errors import UserError
from evaluation import folder_samples
from imaging.image_files import read_image
from imaging.resize import downscale
from model import edsr, wdsr_b
from tests.conftest import assert_one_line_error, make_photo, save_photo, to_numpy


@pytest.fixture
def models(tmp_path):
    """A folder of two models for scale 2, one of them in a subfolder, and what they are."""
    networks = {}
    for seed, name in enumerate(("epoch-001.keras", "below/epoch-002.keras")):
        keras.utils.set_random_seed(seed)
        networks[name] = wdsr_b(2, num_filters=4, num_res_blocks=1)
        weights.save(networks[name], tmp_path / "models" / name)
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
    assert "protocol: RGB, border of 0 pixels removed, neither clipped nor rounded" in out
    assert out.splitlines()[-1] == f"Best PSNR = {results[best]:.4f} for model {indir / best}"


def test_a_nan_is_null_and_never_the_best(run_main, models, dataset, tmp_path):
    indir, networks = models
    broken = networks["epoch-001.keras"]
    broken.set_weights([weight + 1e38 for weight in broken.get_weights()])  # finite, but not what comes out
    weights.save(broken, indir / "broken.keras")
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


@pytest.fixture
def photos(tmp_path):
    """A folder of three HR images whose sizes are no multiples of the scale."""
    for i, name in enumerate("abc"):
        save_photo(tmp_path / "HR" / f"{name}.png", make_photo(41 + i, 37, seed=i))
    return tmp_path / "HR"


def test_a_folder_of_images_is_evaluated_by_the_benchmark_protocol(run_main, models, photos, tmp_path):
    indir, networks = models
    code, out, _ = run_main(evaluate, "--images", photos, "-i", indir, "-o", tmp_path / "eval.json")
    assert code == 0
    assert "protocol: Y channel, border of scale pixels removed, rounded" in out
    for name, network in networks.items():
        values = []
        for path in sorted(photos.glob("*.png")):
            hr = read_image(path)
            hr = hr[:hr.shape[0] // 2 * 2, :hr.shape[1] // 2 * 2]
            lr = downscale(hr, 2, "replicate").astype("float32")
            sr = np.clip(np.round(to_numpy(network(lr[None]))[0]), 0, 255)
            hr_y, sr_y = ((image @ [65.481, 128.553, 24.966] / 255)[2:-2, 2:-2] for image in (hr.astype(float), sr))
            values.append(peak_signal_noise_ratio(hr_y, sr_y, data_range=255))
        assert json.loads((tmp_path / "eval.json").read_text())[name] == pytest.approx(np.mean(values), abs=1e-3)


def test_each_part_of_the_protocol_can_be_set(models):
    for argv, expected in (
            ([], ("rgb", "0", False)), (["--images", "A"], ("y", "scale", True)),
            (["--protocol", "div2k"], ("rgb", "scale+6", True)),
            (["--protocol", "div2k", "--channels", "y", "--border", "3", "--no-rounded"], ("y", "3", False))):
        args = evaluate.parse_args(["-i", "models", *argv])
        assert (args.channels, args.border, args.rounded) == expected


def test_details_and_table_hold_every_model_and_image(run_main, models, photos, tmp_path):
    indir, networks = models
    for details in ("details.json", "details.csv"):
        code, out, _ = run_main(evaluate, "--images", photos, "-i", indir, "-o", tmp_path / "eval.json", "--ssim",
                                "--bicubic", "--details", tmp_path / details)
        assert code == 0
    report = json.loads((tmp_path / "details.json").read_text())
    assert report["protocol"] == {"channels": "y", "border": "scale", "rounded": True, "self_ensemble": False}
    assert [model["model"] for model in report["models"]] == ["bicubic x2", *sorted(str(indir / n) for n in networks)]
    with open(tmp_path / "details.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    for model in report["models"]:
        for figure in ("psnr", "ssim"):
            values = [float(row[figure]) for row in rows if row["model"] == model["model"]]
            assert model[figure] == pytest.approx(np.mean(values))
        assert model["images"][0]["hr"] == str(photos / "a.png")
        (line,) = (line for line in out.splitlines() if line.startswith(f"{model['model']} "))
        assert f"{model['psnr']:.3f}" in line
        assert f"{model['ssim']:.4f}" in line
        assert f"{model['parameters']:,}" in line or not model["parameters"]


def test_the_self_ensemble_changes_the_figures(run_main, models, photos, tmp_path):
    indir, _ = models
    results = []
    for argv in ([], ["--self-ensemble"]):
        _, out, _ = run_main(evaluate, "--images", photos, "-i", indir / "epoch-001.keras", "-o", tmp_path / "e.json",
                             *argv)
        results.append(json.loads((tmp_path / "e.json").read_text())["epoch-001.keras"])
    assert results[0] != results[1]
    assert "self-ensemble" in out


def test_many_models_of_several_kinds_are_evaluated_without_a_warning(run_main, photos, tmp_path):
    for i in range(7):
        weights.save(edsr(2, num_filters=2 + i, num_res_blocks=1), tmp_path / "models" / f"{i}.keras")
    code, out, err = run_main(evaluate, "--images", photos, "-i", tmp_path / "models", "-o", tmp_path / "e.json")
    assert code == 0
    assert "retracing" not in out + err


@pytest.mark.parametrize("names", [["ax2", "bx2", "cx2"], ["a_LRBI_x2", "b_LRBI_x2", "c_LRBI_x2"],
                                   ["a_SRF_2_LR", "b_SRF_2_LR", "c_SRF_2_LR"], ["img_001", "img_002", "img_003"]])
@pytest.mark.parametrize("below", ["", "X2"])
def test_low_resolution_images_are_paired_by_name_else_by_order(photos, tmp_path, names, below):
    for name, path in zip(names, sorted(photos.glob("*.png")), strict=True):
        save_photo(tmp_path / "LR" / below / f"{name}.png", downscale(read_image(path), 2))
    samples = folder_samples(photos, tmp_path / "LR", 2, "replicate")
    assert [(sample.name, sample.lr.stem) for sample in samples] == list(zip("abc", names, strict=True))
    for sample in samples:
        hr, lr = sample.load(2)
        assert hr.shape[0] == 2 * lr.shape[0]


def test_pairs_that_do_not_fit_are_named(run_main, models, photos, tmp_path):
    indir, _ = models
    argv = ["--images", photos, "--lr-images", tmp_path / "LR", "-i", indir / "epoch-001.keras", "-o", tmp_path / "e"]
    save_photo(tmp_path / "LR" / "ax2.png", make_photo(20, 18))
    with pytest.raises(UserError, match=r"holds 1 images for the 3 of .*, and none is named after b\.png"):
        folder_samples(photos, tmp_path / "LR", 2, "replicate")
    for name in "bc":
        save_photo(tmp_path / "LR" / f"{name}x2.png", make_photo(20, 18))
    _, _, err = run_main(evaluate, *argv)
    lr_path, hr_path = tmp_path / "LR" / "bx2.png", photos / "b.png"
    assert f"{lr_path}: is 20 x 18, which times 2 is not the 42 x 36 of {hr_path}" in err


@pytest.mark.parametrize(("scale", "psnr", "ssim"), [(2, 33.674, 0.9303), (3, 30.405, 0.8689), (4, 28.430, 0.8111)])
def test_bicubic_gets_its_known_figures_on_set5(test_data, scale, psnr, ssim):
    from evaluation import Bicubic, Protocol, measure

    for lr_folder in (None, test_data / "testsets" / "LR_bicubic" / "Set5"):
        samples = folder_samples(test_data / "testsets" / "Set5", lr_folder, scale, "replicate")
        scores = measure(Bicubic(scale, "replicate"), samples, Protocol("y", "scale", True), with_ssim=True)
        assert scores.mean("psnr") == pytest.approx(psnr, abs=0.01)
        assert scores.mean("ssim") == pytest.approx(ssim, abs=0.0005)


def test_set14s_files_of_other_names_are_paired_by_order(test_data):
    sets = test_data / "testsets"
    samples = folder_samples(sets / "Set14", sets / "LR_bicubic" / "Set14", 4, "replicate")
    assert len(samples) == 14
    for sample in samples:
        hr, lr = sample.load(4)
        assert np.array_equal(downscale(hr, 4, "replicate"), lr)


@pytest.mark.parametrize(("argv", "message"), [
    (["--lr-images", "A"], "--lr-images belongs to --images"), (["--border", "2x"], "2x is not a border"),
    (["--details", "a.txt"], "choose a .json or .csv file")])
def test_options_that_make_no_sense_are_refused(argv, message, capsys):
    with pytest.raises(SystemExit):
        evaluate.parse_args(["-i", "models", *argv])
    assert message in capsys.readouterr().err


def test_bad_input_is_named(run_main, models, dataset, tmp_path):
    indir, _ = models
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for argv, parts in (
            (["-i", tmp_path / "gone"], [tmp_path / "gone", "there is no such folder"]),
            (["-i", tmp_path / "empty"], [tmp_path / "empty", "there are no models in it"]),
            (["-i", indir, "-o", tmp_path / "empty"], [tmp_path / "empty", "is a folder"]),
            (["-i", indir, "-o", tmp_path / "file" / "a.json"], [tmp_path / "file", "cannot be a folder"])):
        assert_one_line_error(run_main(evaluate, "-d", dataset, *argv), *parts)
