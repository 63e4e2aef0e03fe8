"""Tables over several test sets, images that are there, costs, and two models compared."""

import csv
import io
import json

import numpy as np
import pytest

import evaluate
import weights
from evaluation import Scores, compare, complexity_of, output_samples
from imaging.image_files import read_image, to_uint8
from imaging.resize import downscale
from model import edsr, wdsr_b
from tests.conftest import assert_one_line_error, make_photo, save_photo, to_numpy


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
    found = complexity_of(edsr(2, num_filters=4, num_res_blocks=1), 2, (20, 12))
    lr, kernel = 10 * 6, 3 * 3
    assert found.output == (20, 12)
    assert found.multiply_adds == lr * kernel * (3 * 4 + 3 * 4 * 4 + 4 * 16) + 4 * lr * kernel * 4 * 3
    assert found.activations == lr * (4 * 4 + 16) + 4 * lr * 3


def test_two_models_are_compared_image_by_image(run_main, sets, model_path, tmp_path):
    other = tmp_path / "models" / "other.keras"
    weights.save(wdsr_b(2, 4, 2), other)
    _, out, _ = run_main(evaluate, "--images", sets / "A", "-i", model_path, "--compare-with", other, "-o",
                         tmp_path / "eval.json")
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
