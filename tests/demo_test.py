import subprocess
import sys

import numpy as np
import pytest

import demo
from imaging.image_files import read_image, to_uint8, write_image
from imaging.resize import imresize
from model import edsr, load_model, save_model
from super_resolution import SuperResolver
from tests.conftest import ROOT, assert_one_line_error, make_photo, save_photo


@pytest.fixture
def model_path(tmp_path):
    """A model for scale 3 in a file."""
    save_model(edsr(3, num_filters=4, num_res_blocks=1), tmp_path / "model.keras")
    return tmp_path / "model.keras"


def test_every_image_is_super_resolved_and_rounded(run_main, model_path, tmp_path):
    for i, name in enumerate(("a.png", "b.PNG", "c.bmp")):
        save_photo(tmp_path / "in" / name, make_photo(9 + i, 14, seed=i))
    code, out, _ = run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "--model", model_path)
    assert code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a-sr.png", "b-sr.PNG", "c-sr.bmp"]
    super_resolve = SuperResolver(load_model(model_path))
    for name in ("a.png", "b.PNG", "c.bmp"):
        source, target = tmp_path / "in" / name, tmp_path / "out" / f"{name[0]}-sr{name[1:]}"
        expected = to_uint8(super_resolve(read_image(source)))
        assert np.array_equal(read_image(target), expected)
        assert str(target) in out


def test_alpha_is_resized_and_kept(run_main, model_path, tmp_path):
    rgba = np.dstack([make_photo(6, 8), make_photo(6, 8, seed=1)[..., 0]])
    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in" / "a.png", rgba)
    run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "--model", model_path)
    from PIL import Image

    sr = np.asarray(Image.open(tmp_path / "out" / "a-sr.png"))
    assert np.array_equal(sr[..., 3], imresize(rgba[..., 3], 3))


def test_subfolders_keep_their_structure(run_main, model_path, tmp_path):
    for name in ("a.png", "below/a.png"):
        save_photo(tmp_path / "in" / name, make_photo(5, 6))
    argv = ["-i", tmp_path / "in", "-o", tmp_path / "out", "--model", model_path]
    assert run_main(demo, *argv)[0] == 0
    assert not (tmp_path / "out" / "below").exists()
    assert run_main(demo, *argv, "--recursive")[0] == 0
    assert (tmp_path / "out" / "below" / "a-sr.png").exists()


def test_existing_outputs_are_skipped_when_asked(run_main, model_path, tmp_path):
    save_photo(tmp_path / "in" / "a.png", make_photo(5, 6))
    save_photo(tmp_path / "in" / "b.png", make_photo(5, 6))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a-sr.png").write_text("kept")
    _, out, _ = run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "-m", model_path, "--skip-existing")
    assert "1 images super-resolved, 1 were there, 0 failed" in out
    assert (tmp_path / "out" / "a-sr.png").read_text() == "kept"


def test_two_inputs_of_one_output_are_refused_before_any_work(run_main, model_path, tmp_path):
    for name in ("a.png", "a.bmp"):
        save_photo(tmp_path / "in" / name, make_photo(5, 6))
    argv = ["-i", tmp_path / "in", "-o", tmp_path / "out", "--model", model_path]
    assert_one_line_error(run_main(demo, *argv, "--format", "webp"), tmp_path / "in" / "a.bmp",
                          tmp_path / "in" / "a.png", tmp_path / "out" / "a-sr.webp", "rename one")
    assert not (tmp_path / "out").exists()
    assert run_main(demo, *argv)[0] == 0


def test_tiles_and_the_self_ensemble_do_something(run_main, model_path, tmp_path):
    save_photo(tmp_path / "in" / "a.png", make_photo(40, 33))
    results = []
    for argv in ([], ["--tile-size", 17], ["--self-ensemble"]):
        run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "-m", model_path, *argv)
        results.append(read_image(tmp_path / "out" / "a-sr.png").astype(int))
    assert np.abs(results[1] - results[0]).max() <= 1
    assert np.abs(results[2] - results[0]).max() > 1
    result = run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "-m", model_path, "--tile-size", 9)
    assert_one_line_error(result, "tile size 9 is too small for edsr")


def test_a_bad_image_is_reported_and_the_rest_is_done(run_main, model_path, tmp_path):
    whole = save_photo(tmp_path / "in" / "a.png", make_photo(30, 30)).read_bytes()
    (tmp_path / "in" / "b.png").write_bytes(whole[:len(whole) // 2])
    save_photo(tmp_path / "in" / "c.png", make_photo(5, 5))
    code, out, err = run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "--model", model_path)
    assert code == 1
    assert f"failed: {tmp_path / 'in' / 'b.png'}: cannot be read as an image: " in err
    assert "truncated" in err
    assert "2 images super-resolved, 0 were there, 1 failed" in out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a-sr.png", "c-sr.png"]


def test_bad_input_is_named(run_main, model_path, tmp_path):
    (tmp_path / "empty").mkdir()
    save_photo(tmp_path / "in" / "a.png", make_photo(5, 5))
    (tmp_path / "file").write_text("")
    (tmp_path / "bad.keras").write_text("no model")
    for argv, parts in (
            (["-i", tmp_path / "gone"], [tmp_path / "gone", "there is no such folder"]),
            (["-i", tmp_path / "empty"], [tmp_path / "empty", "there are no images in it"]),
            (["-i", tmp_path / "in", "-m", tmp_path / "no.keras"], [tmp_path / "no.keras", "no such model file"]),
            (["-i", tmp_path / "in", "-m", tmp_path / "bad.keras"], [tmp_path / "bad.keras", "cannot be loaded"]),
            (["-i", tmp_path / "in", "-o", tmp_path / "file"], [tmp_path / "file", "cannot be a folder"])):
        assert_one_line_error(run_main(demo, "-o", tmp_path / "out", "-m", model_path, *argv), *parts)


def test_the_shipped_model_super_resolves_the_demo_folder(tmp_path):
    result = subprocess.run([sys.executable, "demo.py", "-o", tmp_path], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    for name in ("0829x4-crop", "0851x4-crop"):
        lr, sr = read_image(ROOT / "demo" / f"{name}.png"), read_image(tmp_path / f"{name}-sr.png")
        assert sr.shape == (lr.shape[0] * 4, lr.shape[1] * 4, 3)
        again = imresize(sr, 1 / 4).astype(float)
        assert np.abs(again - lr).mean() < 2  # reduced again, it is the input


def test_the_shipped_model_reaches_its_published_psnr_on_set5(test_data):
    super_resolve = SuperResolver(load_model(demo.DEFAULT_MODEL))
    values = []
    for hr_path in sorted((test_data / "testsets" / "Set5").glob("*.png")):
        lr_path = test_data / "testsets" / "LR_bicubic" / "Set5" / "X4" / f"{hr_path.stem}_LRBI_x4.png"
        sr = to_uint8(super_resolve(read_image(lr_path)))
        hr = read_image(hr_path)[:sr.shape[0], :sr.shape[1]]
        difference = (hr.astype(float) - sr)[4:-4, 4:-4] @ [65.481 / 255, 128.553 / 255, 24.966 / 255]  # of Y
        values.append(10 * np.log10(255**2 / np.mean(difference**2)))
    assert len(values) == 5
    assert np.mean(values) > 31.0
