import csv
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

import evaluate
import pretrained
import weights
from errors import UserError
from evaluation import METRICS, Metric, choose_metrics, folder_samples
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


def test_shares_of_the_models_have_the_figures_and_the_order_of_one_run(run_main, models, dataset, tmp_path):
    indir, networks = models
    weights.save(networks["epoch-001.keras"], indir / "epoch-003.keras")
    argv = ["-d", dataset, "--validation-images", "7", "-i", indir, "-o"]
    run_main(evaluate, *argv, tmp_path / "whole.json")
    joined = []
    for share, count in (("1/2", 1), ("2/2", 2)):
        code, out, _ = run_main(evaluate, *argv, tmp_path / "part.json", "--part", share)
        assert code == 0
        assert f"share {share[0]} of 2: {count} of 3 models" in out
        joined += json.loads((tmp_path / "part.json").read_text()).items()
    assert joined == list(json.loads((tmp_path / "whole.json").read_text()).items())
    result = run_main(evaluate, *argv, tmp_path / "part.json", "--part", "1/4")
    assert_one_line_error(result, "4 shares of 3 models", "at most 3")


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


@pytest.mark.parametrize("error", [RuntimeError("no such\nkernel"), RecursionError(), OSError("no device")])
def test_an_error_of_any_class_costs_one_model_only(run_main, models, dataset, tmp_path, monkeypatch, error):
    indir, networks = models
    bad, load = indir / "below" / "bad.keras", weights.load
    bad.touch()

    def load_or_fail(path):
        if path == bad:
            raise error
        return load(path)

    monkeypatch.setattr(weights, "load", load_or_fail)
    argv = ["-d", dataset, "-i", indir, "-o", tmp_path / "eval.json"]
    code, out, err = run_main(evaluate, *argv)
    line, = (line for line in err.splitlines() if line.startswith("failed: "))
    text = " ".join(str(error).splitlines())
    assert line == f"failed: {bad}: {type(error).__name__}" + (f": {text}" if text else "")
    assert code == 1
    assert "Traceback" not in err
    assert set(json.loads((tmp_path / "eval.json").read_text())) == set(networks)
    assert out.splitlines()[-1].startswith("Best PSNR = ")
    assert "Traceback" in run_main(evaluate, *argv, "--debug")[2]


@pytest.fixture
def even_network(models, monkeypatch):
    """A network for scale 2, even.keras, whose output is too small where a side of its input is odd.

    Files with such layers are refused, so that it is put in the place of one.
    """
    path, load = models[0] / "even.keras", weights.load
    path.touch()
    inputs = keras.Input((None, None, 3))
    half = keras.layers.Conv2D(3, 2, strides=2, name="half")(inputs)
    network = keras.Model(inputs, keras.layers.UpSampling2D(4)(half))
    monkeypatch.setattr(weights, "load", lambda file: network if file == path else load(file))
    return network


def test_a_model_that_cannot_be_applied_to_an_image_is_measured_on_the_others(run_main, models, even_network, photos,
                                                                              tmp_path):
    indir, networks = models
    code, out, err = run_main(evaluate, "--images", photos, "-i", indir, "-o", tmp_path / "eval.json", "--bicubic")
    assert code == 1
    lines = [line for line in err.splitlines() if line.startswith("failed: ")]
    assert [line.split(": ")[1:4] for line in lines] == [
        [str(indir / "even.keras"), str(photos / f"{name}.png"), "ValueError"] for name in "bc"]  # 21 rows
    assert f"for model {indir / 'even.keras'}, the mean over 1 of 3 images" in out
    assert set(json.loads((tmp_path / "eval.json").read_text())) == {*networks, "even.keras"}


def test_a_mean_over_fewer_images_is_never_the_best(run_main, models, even_network, photos, tmp_path):
    indir, _ = models
    grey = [np.full((2, 2, 3, 3), 1 / 12), np.zeros(3)]  # but far above the others
    even_network.get_layer("half").set_weights(grey)
    _, out, _ = run_main(evaluate, "--images", photos, "-i", indir, "-o", tmp_path / "eval.json")
    psnrs = json.loads((tmp_path / "eval.json").read_text())
    assert max(psnrs, key=psnrs.get) == "even.keras"
    assert "even.keras" not in out.splitlines()[-1]


def test_a_model_that_can_be_applied_to_no_image_is_reported_once(run_main, models, even_network, photos, tmp_path):
    indir, networks = models
    (photos / "a.png").unlink()
    code, _, err = run_main(evaluate, "--images", photos, "-i", indir, "-o", tmp_path / "eval.json")
    assert code == 1
    line, = (line for line in err.splitlines() if line.startswith("failed: "))
    assert line.startswith(f"failed: {indir / 'even.keras'}: ValueError: ")
    assert set(json.loads((tmp_path / "eval.json").read_text())) == set(networks)


def test_bad_images_are_each_named_once_and_the_others_measured(run_main, models, photos, tmp_path, monkeypatch):
    indir, networks = models
    argv = ["--images", photos, "-i", indir, "-o", tmp_path / "eval.json", "--details", tmp_path / "details.csv"]
    assert run_main(evaluate, *argv)[0] == 0
    expected = json.loads((tmp_path / "eval.json").read_text())
    (photos / "0.png").write_bytes(b"no image")
    save_photo(photos / "d.png", make_photo(2, 2))
    odd = save_photo(photos / "odd.png", make_photo(40, 40))
    monkeypatch.setattr("evaluation.plan.read_image",
                        lambda path, **options: {}[path] if path == odd else read_image(path, **options))
    code, out, err = run_main(evaluate, *argv)
    lines = [line for line in err.splitlines() if line.startswith("failed: ")]
    assert [line.split(": ")[1] for line in lines] == [str(photos / name) for name in ("0.png", "d.png", "odd.png")]
    assert code == 1
    assert json.loads((tmp_path / "eval.json").read_text()) == expected
    assert out.count(", the mean over 3 of 6 images") == len(networks)
    assert "Some images failed: the figures are means over the others." in out
    with open(tmp_path / "details.csv", encoding="utf-8", newline="") as file:
        assert [row["image"] for row in csv.DictReader(file)] == list("abc") * len(networks)


def test_without_a_sound_image_there_is_no_result(run_main, models, photos, tmp_path):
    indir, _ = models
    for path in photos.iterdir():
        path.write_bytes(b"no image")
    result = run_main(evaluate, "--images", photos, "-i", indir, "-o", tmp_path / "eval.json")
    for name in ("a.png", "b.png", "c.png"):
        assert result[2].count(f"failed: {photos / name}: ") == 1
    assert_one_line_error(result, indir, "none of its 2 models could be evaluated")


def test_bad_arrays_of_a_data_set_are_named_and_the_others_measured(run_main, models, dataset, tmp_path):
    indir, networks = models
    copy = tmp_path / "BIN"
    shutil.copytree(dataset, copy)
    bad = copy / "DIV2K_valid_LR_bicubic" / "X2" / "0007x2.npy"
    bad.write_bytes(bad.read_bytes()[:200])
    code, out, err = run_main(evaluate, "-d", copy, "-i", indir, "-o", tmp_path / "eval.json")
    assert code == 1
    assert err.count(f"failed: {bad}: cannot be read as a numpy array") == 1
    assert out.count(", the mean over 1 of 2 images") == len(networks)
    assert set(json.loads((tmp_path / "eval.json").read_text())) == set(networks)


def test_the_best_model_is_named_for_each_scale(run_main, models, photos, tmp_path):
    indir, _ = models
    weights.save(edsr(3, num_filters=4, num_res_blocks=1), indir / "x3.keras")
    code, out, _ = run_main(evaluate, "--images", photos, "-i", indir, "-o", tmp_path / "eval.json", "--ssim")
    psnrs = json.loads((tmp_path / "eval.json").read_text())
    of_x3 = psnrs.pop("x3.keras")
    best = max(psnrs, key=psnrs.get)
    assert code == 0
    assert out.splitlines()[-2:] == [f"x2: Best PSNR = {psnrs[best]:.4f} for model {indir / best}",
                                     f"x3: Best PSNR = {of_x3:.4f} for model {indir / 'x3.keras'}"]
    assert "x2: Best SSIM = " in out


def test_a_metric_is_a_function_and_a_row(run_main, models, photos, tmp_path, monkeypatch):
    indir, _ = models
    mae = Metric("mae", "MAE", lambda hr, sr: float(np.abs(hr - sr).mean()), higher_is_better=False, decimals=2)
    monkeypatch.setattr("evaluation.metrics.METRICS", (*METRICS, mae))
    for details in ("details.json", "details.csv"):
        argv = ["--images", photos, "-i", indir, "-o", tmp_path / "eval.json", "--details", tmp_path / details]
        code, out, _ = run_main(evaluate, *argv)
        assert code == 0
    report = json.loads((tmp_path / "details.json").read_text())["models"]
    means = {model["model"]: model["mae"] for model in report}
    assert [model["ssim"] for model in report] == [None, None]
    for model in report:
        assert model["mae"] == pytest.approx(np.mean([image["mae"] for image in model["images"]]))
        assert f"MAE = {model['mae']:.4f} for model {model['model']}" in out
        (line,) = (line for line in out.splitlines() if line.startswith(f"{model['model']} "))
        assert f" {model['mae']:.2f} " in line
    best = min(means, key=means.get)
    assert out.splitlines()[-2] == f"Best MAE = {means[best]:.4f} for model {best}"
    with open(tmp_path / "details.csv", encoding="utf-8", newline="") as file:
        assert all(float(row["mae"]) > 0 for row in csv.DictReader(file))


def test_a_model_of_another_scale_is_named(run_main, models, dataset, tmp_path):
    indir, _ = models
    result = run_main(evaluate, "-d", dataset, "-i", indir, "-o", tmp_path / "eval.json", "--scale", 3)
    assert f"{indir / 'epoch-001.keras'}: is a model for scale 2, not for scale 3" in result[2]
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


@pytest.mark.slow
def test_many_models_of_several_kinds_are_evaluated_without_a_warning(run_main, photos, tmp_path):
    for i in range(7):
        weights.save(edsr(2, num_filters=2 + i, num_res_blocks=1), tmp_path / "models" / f"{i}.keras")
    code, out, err = run_main(evaluate, "--images", photos, "-i", tmp_path / "models", "-o", tmp_path / "e.json")
    assert code == 0
    assert "retracing" not in out + err


@pytest.mark.parametrize("names", [["ax2", "bx2", "cx2"], ["a_LRBI_x2", "b_LRBI_x2", "c_LRBI_x2"],
                                   ["a_SRF_2_LR", "b_SRF_2_LR", "c_SRF_2_LR"], ["a_bicLRx2", "b_bicLRx2", "c_bicLRx2"]])
@pytest.mark.parametrize("below", ["", "X2"])
def test_low_resolution_images_are_paired_by_name(photos, tmp_path, names, below):
    for name, path in zip(names, sorted(photos.glob("*.png")), strict=True):
        save_photo(tmp_path / "LR" / below / f"{name}.png", downscale(read_image(path), 2))
    samples = folder_samples(photos, tmp_path / "LR", 2, "replicate")
    assert [(sample.name, sample.lr.stem) for sample in samples] == list(zip("abc", names, strict=True))
    for sample in samples:
        hr, lr = sample.load(2)
        assert hr.shape[0] == 2 * lr.shape[0]


def test_a_range_of_12_bits_is_evaluated_as_its_white_level_says(run_main, models, tmp_path):
    hr = make_photo(40, 40)[..., 0].astype(np.uint16) * 16 + 8
    save_photo(tmp_path / "HR" / "a.png", hr)
    argv = ["-i", models[0] / "epoch-001.keras", "--images", tmp_path / "HR", "-o", tmp_path / "eval.json"]
    _, _, err = run_main(evaluate, *argv)
    assert f"such as {tmp_path / 'HR' / 'a.png'} (0 to {hr.max()})" in err
    assert "--white-level 4095" in err
    dark = json.loads((tmp_path / "eval.json").read_text())
    code, _, err = run_main(evaluate, *argv, "--white-level", 4095)
    assert (code, "white" in err) == (0, False)
    save_photo(tmp_path / "HR" / "a.png", ((hr.astype(np.uint32) * 255 + 2047) // 4095).astype(np.uint8))
    scaled = json.loads((tmp_path / "eval.json").read_text())
    run_main(evaluate, *argv)
    assert dark != scaled == json.loads((tmp_path / "eval.json").read_text())


def test_images_are_paired_by_order_where_that_is_typed_only(run_main, models, photos, tmp_path):
    indir, _ = models
    for i, path in enumerate(sorted(photos.glob("*.png"))):
        save_photo(tmp_path / "LR" / f"img_{i}.png", downscale(read_image(path), 2))
    argv = ["--images", photos, "--lr-images", tmp_path / "LR", "-i", indir / "epoch-001.keras", "-o", tmp_path / "e"]
    code, _, err = run_main(evaluate, *argv)
    assert code == 1
    assert "no image is named after a.png, b.png, c.png at scale 2" in err
    assert "--pair-by order" in err
    code, out, _ = run_main(evaluate, *argv, "--pair-by", "order")
    assert code == 0
    assert f"{tmp_path / 'LR'}: paired with {photos} in the order of the names" in out


def test_of_a_folder_that_holds_both_the_high_resolution_images_are_evaluated(tmp_path, capsys):
    for name in ("img_1", "img_2"):
        hr = make_photo(24, 32)
        save_photo(tmp_path / f"{name}_SRF_4_HR.png", hr)
        save_photo(tmp_path / f"{name}_SRF_4_LR.png", downscale(hr, 4))
    alone = folder_samples(tmp_path, None, 4, "replicate")
    assert [sample.name for sample in alone] == ["img_1_SRF_4_HR", "img_2_SRF_4_HR"]
    assert "low-resolution versions, left out: 2, such as img_1_SRF_4_LR.png" in capsys.readouterr().out
    both = folder_samples(tmp_path, tmp_path, 4, "replicate")
    assert [sample.lr.stem for sample in both] == ["img_1_SRF_4_LR", "img_2_SRF_4_LR"]


def test_images_named_after_others_are_low_resolution_if_they_have_their_part_of_the_size(tmp_path, capsys):
    hr = make_photo(25, 33)
    for name, image in (("0801", hr), ("0801x4", downscale(hr[:24, :32], 4)), ("0801x2", downscale(hr[:24, :32], 2)),
                        ("box", hr), ("boxx2", make_photo(24, 32)), ("boxx3", hr[:20])):
        save_photo(tmp_path / f"{name}.png", image)
    samples = folder_samples(tmp_path, None, 4, "replicate")
    assert [sample.name for sample in samples] == ["0801", "box", "boxx2", "boxx3"]
    assert "low-resolution versions, left out: 2, such as 0801x2.png" in capsys.readouterr().out


def test_pairs_that_do_not_fit_are_named(run_main, models, photos, tmp_path):
    indir, _ = models
    argv = ["--images", photos, "--lr-images", tmp_path / "LR", "-i", indir / "epoch-001.keras", "-o", tmp_path / "e"]
    save_photo(tmp_path / "LR" / "ax2.png", make_photo(20, 18))
    with pytest.raises(UserError, match=r"LR: no image is named after b\.png, c\.png at scale 2"):
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
        scores = measure(Bicubic(scale, "replicate"), samples, Protocol.named("benchmark"), choose_metrics(["ssim"]))
        assert scores.mean("psnr") == pytest.approx(psnr, abs=0.01)
        assert scores.mean("ssim") == pytest.approx(ssim, abs=0.0005)


def test_set14s_files_of_other_names_are_paired_by_order_where_that_is_asked_for(test_data, capsys):
    sets = test_data / "testsets"
    with pytest.raises(UserError, match=r"no image is named after baboon\.png, barbara\.png, bridge\.png and 11 more"):
        folder_samples(sets / "Set14", sets / "LR_bicubic" / "Set14", 4, "replicate")
    samples = folder_samples(sets / "Set14", sets / "LR_bicubic" / "Set14", 4, "replicate", by_order=True)
    assert "in the order of the names" in capsys.readouterr().out
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


def test_a_device_is_written_to_though_its_folder_is_not(monkeypatch, tmp_path):
    monkeypatch.setattr("os.access", lambda *_: False)
    evaluate._check_outputs(Path("/dev/null"), None)
    with pytest.raises(UserError, match="permission denied"):
        evaluate._check_outputs(tmp_path / "eval.json")


def test_the_name_of_a_shipped_model_is_a_model(tmp_path, monkeypatch):
    path = pretrained.path_of("wdsr-b-8-x2")
    assert evaluate.parse_args(["-i", "wdsr-b-8-x2"]).indir == [path]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wdsr-b-8-x2").mkdir()  # what is there goes first
    assert evaluate.parse_args(["-i", "wdsr-b-8-x2"]).indir == [Path("wdsr-b-8-x2")]
