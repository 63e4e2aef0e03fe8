"""Tables over several test sets, images that are there, costs, and two models compared."""

import csv
import io
import json
import sys
import types
from pathlib import Path

import keras
import numpy as np
import pytest

import evaluate
import weights
from comparison import difference_figure
from comparison.difference import most_different
from evaluation import Protocol, Scores, choose_metrics, compare, complexity_of, output_samples
from imaging.image_files import read_image, to_uint8
from imaging.resize import downscale
from model import edsr, wdsr_b
from tests.conftest import assert_one_line_error, make_photo, save_photo, to_numpy
from tests.golden_cases import small_features


@pytest.fixture
def sets(tmp_path):
    """Two folders of images, A and B, the low-resolution images of B, and a file that names both sets."""
    for i in range(2):
        save_photo(tmp_path / "A" / f"a{i}.png", make_photo(24 + 2 * i, 28, seed=i))
        hr = make_photo(26, 30 + 2 * i, seed=5 + i)
        save_photo(tmp_path / "B" / f"b{i}.png", hr)
        save_photo(tmp_path / "B_LR" / f"other{i}.png", downscale(hr, 2, "replicate") // 2)
    (tmp_path / "sets.toml").write_text('[first]\nhr = "A"\n\n[second]\nhr = "B"\nlr = "B_LR"\npair_by = "order"\n')
    return tmp_path


@pytest.fixture
def model_path(tmp_path):
    """A model for scale 2."""
    weights.save(wdsr_b(2, 4, 1), tmp_path / "models" / "small.keras")
    return tmp_path / "models" / "small.keras"


def test_several_sets_are_one_table(run_main, sets, model_path, tmp_path):
    argv = ["--images", "first", "second", "--sets", sets / "sets.toml", "-i", model_path, "--ssim", "--bicubic", "-o",
            tmp_path / "eval.json", "--details", tmp_path / "all.csv"]
    code, out, _ = run_main(evaluate, *argv, "--table", "csv")
    assert code == 0
    lines = out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("model,"))
    rows = list(csv.DictReader(io.StringIO("\n".join(lines[start:start + 3]))))
    assert [row["model"] for row in rows] == ["bicubic x2", "small"]
    summary = json.loads((tmp_path / "eval.json").read_text())["small.keras"]
    details = list(csv.DictReader((tmp_path / "all.csv").open()))
    for name in ("first", "second"):
        one = run_main(evaluate, "--images", sets / "AB"[name == "second"], "-i", model_path, "--ssim", "-o",
                       tmp_path / "one.json", *(["--lr-images", sets / "B_LR", "--pair-by", "order"]
                                                if name == "second" else []))
        assert one[0] == 0
        psnr = json.loads((tmp_path / "one.json").read_text())["small.keras"]
        assert summary[name] == pytest.approx(psnr, abs=1e-9)
        assert float(rows[1][f"{name} PSNR"]) == pytest.approx(psnr, abs=1e-3)
        assert f"{name}: Best PSNR = {psnr:.4f} for model {model_path}" in out
        values = [float(row["psnr"]) for row in details if row["set"] == name and "small" in row["model"]]
        assert np.mean(values) == pytest.approx(psnr)


def test_a_table_is_printed_as_papers_have_it(run_main, sets, model_path, tmp_path):
    argv = ["--images", sets / "A", sets / "B", "-i", model_path, "--ssim", "-o", tmp_path / "eval.json"]
    _, out, _ = run_main(evaluate, *argv, "--table", "markdown")
    (row,) = [line for line in out.splitlines() if line.startswith("| small")]
    header = "| model | scale | parameters | A PSNR / SSIM | B PSNR / SSIM | s/image |\n"
    assert f"{header}|---|---|---|---|---|---|\n" in out
    assert row.count(" / ") == 2
    _, out, _ = run_main(evaluate, *argv, "--table", "latex")
    assert "\\begin{tabular}{lrrrrr}\n\\hline\nmodel & scale & parameters & A PSNR / SSIM" in out
    assert f"small & x2 & {wdsr_b(2, 4, 1).count_params():,} & " in out


def test_bad_sets_are_named(run_main, sets, model_path, tmp_path):
    argv = ["-i", model_path, "-o", tmp_path / "eval.json", "--sets", sets / "sets.toml", "--images"]
    assert_one_line_error(run_main(evaluate, *argv, "third"), "third: there is no such folder, and no set in",
                          "which has first, second")
    assert_one_line_error(run_main(evaluate, *argv, sets / "A", sets / "B" / ".." / "A"), "another set is called A too")
    for text, cause in (("[x", "is no TOML file"), ("[x]\nlr = 'A'", "the set x must be a table with hr"),
                        ("x = 1", "the set x must be a table"), ("[x]\nhr = 1", "hr must be texts"),
                        ("[x]\nhr = 'A'\npair_by = 'size'", "pair_by must be name or order")):
        (sets / "sets.toml").write_text(text)
        assert_one_line_error(run_main(evaluate, *argv, "x"), "sets.toml", cause)


def test_outputs_of_a_model_are_saved_and_measured_as_the_model_is(run_main, sets, model_path, tmp_path):
    code, _, _ = run_main(evaluate, "--images", sets / "A", "-i", model_path, "-o", tmp_path / "eval.json",
                          "--save-images", tmp_path / "saved")
    assert code == 0
    network = weights.load(model_path)
    for i in range(2):
        lr = downscale(read_image(sets / "A" / f"a{i}.png"), 2, "replicate").astype("float32")
        sr = to_uint8(to_numpy(network(lr[None]))[0])
        assert np.array_equal(read_image(tmp_path / "saved" / f"a{i}_small.png"), sr)
    code, _, _ = run_main(evaluate, "--images", sets / "A", "--sr-images", tmp_path / "saved", "--scale", 2, "-o",
                            tmp_path / "sr.json")
    assert code == 0
    assert json.loads((tmp_path / "sr.json").read_text())["saved"] == pytest.approx(
        json.loads((tmp_path / "eval.json").read_text())["small.keras"], abs=1e-9)
    (tmp_path / "saved" / "a1_small.png").unlink()
    code, _, err = run_main(evaluate, "--images", sets / "A", "--sr-images", tmp_path / "saved", "--scale", 2, "-o",
                            tmp_path / "sr.json")
    assert code == 1
    assert "no image is named after a0.png, a1.png at scale 2" in err


@pytest.mark.parametrize(("scale", "expected"), [(2, 38.274), (3, 34.742), (4, 32.634)])
def test_images_of_others_have_their_published_psnr(run_main, test_data, tmp_path, scale, expected):
    code, _, _ = run_main(evaluate, "--images", test_data / "testsets" / "Set5", "--sr-images",
                          test_data / "reference_sr" / "RCAN_Set5", "--scale", scale, "-o", tmp_path / "sr.json")
    assert code == 0
    assert json.loads((tmp_path / "sr.json").read_text())["RCAN_Set5"] == pytest.approx(expected, abs=1e-3)


def test_names_with_a_common_end_are_paired(tmp_path):
    for name in ("baby", "bird"):
        save_photo(tmp_path / "hr" / f"{name}.png", make_photo(13, 12))
        save_photo(tmp_path / "sr" / f"{name}_Our_Net_x4.png", make_photo(12, 12))
    pairs = [(sample.hr.stem, sample.lr.stem) for sample in output_samples(tmp_path / "hr", tmp_path / "sr", 4)]
    assert pairs == [("baby", "baby_Our_Net_x4"), ("bird", "bird_Our_Net_x4")]
    hr, sr = output_samples(tmp_path / "hr", tmp_path / "sr", 4)[0].load(4)
    assert hr.shape == sr.shape == (12, 12, 3)


@pytest.mark.parametrize(("argv", "text"), [
    (["--images", "A"], "give either models with --indir, or images with --sr-images"),
    (["--images", "A", "--sr-images", "B"], "--sr-images are of one folder of --images, and of one --scale"),
    (["--images", "A", "--sr-images", "B", "--scale", "4", "--complexity"], "--complexity belongs to models"),
    (["--images", "A", "-i", "m", "--best-by", "ssim"], "--best-by ssim needs --ssim"),
    (["-i", "m", "--sets", "sets.toml"], "--sets belongs to --images"),
    (["-i", "m", "--complexity", "big"], "big is no size"),
    (["-i", "m", "--compare-with", "none.keras"], "none.keras is no model")])
def test_options_that_do_not_fit_together_are_refused(capsys, argv, text):
    with pytest.raises(SystemExit):
        evaluate.parse_args(argv)
    assert text in capsys.readouterr().err


def test_costs_are_those_of_the_convolutions():
    # EDSR: a head, one block of two convolutions, one after the blocks, one that upscales, a tail.
    model = edsr(2, num_filters=4, num_res_blocks=1)
    model.compile(loss=lambda hr, sr: hr - sr)  # which cannot be cloned
    found = complexity_of(model, 2, (20, 12))
    lr, kernel = 10 * 6, 3 * 3
    assert found.output == (20, 12)
    assert found.multiply_adds == lr * kernel * (3 * 4 + 3 * 4 * 4 + 4 * 16) + 4 * lr * kernel * 4 * 3
    assert found.activations == lr * (4 * 4 + 16) + 4 * lr * 3


def test_two_models_are_compared_image_by_image(run_main, sets, model_path, tmp_path):
    other = tmp_path / "models" / "other.keras"
    weights.save(wdsr_b(2, 4, 2), other)
    _, out, _ = run_main(evaluate, "--images", sets / "A", "-i", model_path, "--compare-with", other, "-o",
                         tmp_path / "eval.json", "--save-images", tmp_path / "saved", "--complexity")
    assert "peak memory (MiB)" in out
    figures = sorted((tmp_path / "saved").glob("*_small_against_other.png"))
    assert figures == sorted(Path(line.removeprefix("figure: ")) for line in out.splitlines() if "figure: " in line)
    assert 1 <= len(figures) <= 3
    assert read_image(figures[0]).shape[1] > 3 * 240
    psnrs = json.loads((tmp_path / "eval.json").read_text())
    (line,) = [line for line in out.splitlines() if " against " in line]
    assert line.startswith(f"{model_path} against {other}: {psnrs['small.keras'] - psnrs['other.keras']:+.3f} dB")
    rows = [{"image": str(i), "hr": str(i), "psnr": 30.0 + i} for i in range(9)]
    better = [row | {"psnr": row["psnr"] + 1 + row["psnr"] % 2} for row in rows]
    difference = compare(Scores(better, 1, []), Scores(rows, 1, []))
    assert difference.mean == pytest.approx(1 + 4 / 9)
    assert 1 < difference.interval[0] < difference.mean < difference.interval[1] < 2
    assert difference.images[0][1] == 2
    assert compare(Scores(rows[:1], 1, []), Scores(rows[1:], 1, [])) is None


def test_a_figure_shows_where_two_outputs_differ_most():
    hr = make_photo(150, 200)
    one, other = hr.copy(), hr.copy()
    one[20:60, 70:110] = 255 - one[20:60, 70:110]
    region = most_different(hr, one, other)
    assert region.top <= 20 < 60 <= region.top + region.height
    assert region.left <= 70 < 110 <= region.left + region.width
    assert most_different(hr[:9, :11], one[:9, :11], other[:9, :11])[2:] == (9, 11)
    figure = difference_figure(hr, {"a": (one, "1 dB"), "b": (other, "2 dB")})
    shown = np.asarray(figure)
    assert (shown[24:264, 24:264] == np.kron(region.of(hr), np.ones((2, 2, 1), "uint8"))).all()  # every pixel twice


def test_networks_judge_rgb_images_whatever_the_protocol_compares(run_main, sets, model_path, tmp_path, monkeypatch):
    seen, network = [], small_features()

    def features(name, weights, advice="give its path"):
        seen.append((name, weights))
        return network

    monkeypatch.setattr("evaluation.perceptual.load_features", features)
    argv = ["--vgg54", "--vgg-weights", tmp_path / "vgg.h5", "--best-by", "vgg54", "--save-images", tmp_path / "sr"]
    code, out, _ = run_main(evaluate, "--images", sets / "A", "-i", model_path, "-o", tmp_path / "eval.json", *argv,
                            "--details", tmp_path / "details.json")
    assert code == 0
    assert seen == [("vgg54", tmp_path / "vgg.h5")]
    assert "VGG54: the lower, the better." in out
    (model,) = json.loads((tmp_path / "details.json").read_text())["models"]
    assert out.splitlines()[-1] == f"Best VGG54 = {model['vgg54']:.4f} for model {model_path}"
    for row in model["images"]:
        sr = read_image(tmp_path / "sr" / f"{row['image']}_small.png")
        hr = read_image(row["hr"])[:sr.shape[0], :sr.shape[1]]
        inner = [image[2:-2, 2:-2].astype("float32")[None] for image in (hr, sr)]  # x2: the protocol's border
        expected = np.mean(np.square((to_numpy(network(inner[0])) - to_numpy(network(inner[1]))) / 12.75))
        assert row["vgg54"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["lpips", "dists"])
def test_a_metric_without_its_packages_says_how_to_get_them(run_main, sets, model_path, tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, "torchmetrics.image", None)
    result = run_main(evaluate, "--images", sets / "A", "-i", model_path, "-o", tmp_path / "eval.json", f"--{name}")
    assert_one_line_error(result, name.upper(), "pip install -r requirements/metrics.txt")


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="PyTorch is not installed here")
@pytest.mark.parametrize("name", ["lpips", "dists"])
def test_a_metric_of_a_library_gets_rgb_images_from_0_to_1(monkeypatch, name):
    import torch

    class Distance(torch.nn.Module):
        def __init__(self, **options):
            super().__init__()
            self.options, self.was_reset = options, True

        def forward(self, sr, hr):
            assert self.was_reset
            self.was_reset = False
            return (sr - hr).abs().mean()

        def reset(self):
            self.was_reset = True

    image = types.ModuleType("torchmetrics.image")
    image.lpip = types.SimpleNamespace(LearnedPerceptualImagePatchSimilarity=Distance)
    image.dists = types.SimpleNamespace(DeepImageStructureAndTextureSimilarity=Distance)
    package = types.ModuleType("torchmetrics")
    package.image = image
    for module, content in {"torchmetrics": package, "torchmetrics.image": image, "torchmetrics.image.lpip": image,
                            "torchmetrics.image.dists": image}.items():
        monkeypatch.setitem(sys.modules, module, content)
    (metric,) = (metric for metric in choose_metrics([name]) if metric.name == name)
    hr = make_photo(70, 80).astype("float32")
    assert metric.function(hr, hr) == 0
    assert metric.function(hr, np.minimum(hr + 51, 255)) == pytest.approx(
        np.mean(np.minimum(hr + 51, 255) - hr) / 255, abs=1e-6)
    assert metric.protocol(Protocol.named("benchmark")).channels == "rgb"
    assert metric.protocol(Protocol.named("benchmark")).border == "scale"
    assert not metric.higher_is_better
