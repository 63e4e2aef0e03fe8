import csv
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import convert
from imaging.image_files import read_image
from imaging.resize import downscale
from tests.conftest import ROOT, assert_one_line_error, make_photo, save_photo


@pytest.fixture
def photos(tmp_path):
    """A folder of three photos, one of them in a subfolder."""
    for i, name in enumerate(("a.png", "b.PNG", "below/c.png")):
        save_photo(tmp_path / "photos" / name, make_photo(24 + i, 30, seed=i))
    return tmp_path / "photos"


def rows(outdir):
    with open(outdir / "images.csv", encoding="utf-8", newline="") as file:
        return [(int(row["id"]), row["subset"], row["source"]) for row in csv.DictReader(file)]


def test_numpy_writes_the_pixels_of_every_image(run_main, photos, tmp_path):
    code, out, _ = run_main(convert, "-i", photos, "-o", tmp_path / "bin", "numpy")
    assert code == 0
    assert "3 images converted" in out
    for name in ("a.png", "b.PNG", "below/c.png"):
        array = np.load((tmp_path / "bin" / name).with_suffix(".npy"))
        assert array.dtype == np.uint8
        assert np.array_equal(array, read_image(photos / name))


def test_what_is_up_to_date_is_not_made_again(run_main, photos, tmp_path):
    run_main(convert, "-i", photos, "-o", tmp_path / "bin", "numpy")
    array = tmp_path / "bin" / "a.npy"
    before = array.stat().st_mtime_ns
    _, out, _ = run_main(convert, "-i", photos, "-o", tmp_path / "bin", "numpy")
    assert "0 images converted, 3 up to date" in out
    assert array.stat().st_mtime_ns == before
    save_photo(photos / "a.png", make_photo(8, 8))
    os.utime(photos / "a.png", ns=(before + 10**9, before + 10**9))
    _, out, _ = run_main(convert, "-i", photos, "-o", tmp_path / "bin", "numpy")
    assert "1 images converted, 2 up to date" in out
    assert np.load(array).shape == (8, 8, 3)


@pytest.mark.parametrize("argv", [
    ["numpy", "-i", "A", "-o", "B"], ["-i", "A", "-o", "B", "numpy"], ["-i", "A", "numpy", "-o", "B"],
    ["-i", "numpy", "-o", "B", "numpy"]])
def test_the_command_may_stand_anywhere(argv):
    args = convert.parse_args(argv)
    assert args.command == "numpy"
    assert len(args.indir) == 1
    assert str(args.outdir) == "B"


def test_an_option_of_another_command_is_refused(capsys):
    with pytest.raises(SystemExit):
        convert.parse_args(["numpy", "-i", "A", "-o", "B", "--jpeg-quality", "90"])
    assert "--jpeg-quality is an option of jpeg, not of numpy" in capsys.readouterr().err


def test_jpeg_writes_the_quality_that_was_asked_for(run_main, photos, tmp_path):
    code, _, _ = run_main(convert, "-i", photos, "-o", tmp_path / "q90", "--jpeg-quality", 90, "jpeg")
    assert code == 0
    Image.open(photos / "a.png").save(tmp_path / "expected.jpg", quality=90)
    assert np.array_equal(read_image(tmp_path / "q90" / "a.jpg"), read_image(tmp_path / "expected.jpg"))
    result = run_main(convert, "-i", photos, "-o", tmp_path / "q90", "--jpeg-quality", 75, "jpeg")
    assert_one_line_error(result, tmp_path / "q90", "'quality': 90", "'quality': 75")


def test_bicubic_writes_every_scale(run_main, photos, tmp_path):
    code, _, _ = run_main(convert, "bicubic", "-i", photos, "-o", tmp_path / "LR", "--scales", 2, 3)
    assert code == 0
    assert sorted(path.name for path in (tmp_path / "LR").iterdir()) == [".convert.json", "X2", "X3"]
    for scale in (2, 3):
        lr = read_image(tmp_path / "LR" / f"X{scale}" / f"ax{scale}.png")
        assert np.array_equal(lr, downscale(read_image(photos / "a.png"), scale))


def test_bicubic_reproduces_div2k_files(run_main, test_data, tmp_path):
    code, _, _ = run_main(convert, "bicubic", "-i", test_data / "DIV2K" / "DIV2K_train_HR", "-o", tmp_path,
                          "--scales", 2)
    assert code == 0
    genuine = test_data / "DIV2K" / "DIV2K_train_LR_bicubic" / "X2" / "0004x2.png"
    assert np.array_equal(read_image(tmp_path / "X2" / "0004x2.png"), read_image(genuine))


def test_a_bad_image_is_reported_and_the_rest_is_done(run_main, photos, tmp_path):
    (photos / "bad.png").write_bytes(b"no image")
    code, out, err = run_main(convert, "-i", photos, "-o", tmp_path / "bin", "numpy")
    assert code == 1
    assert f"failed: {photos / 'bad.png'}: cannot be read as an image" in out + err
    assert "3 images converted" in out
    assert "1 failed" in out
    assert not (tmp_path / "bin" / "bad.npy").exists()


def test_two_sources_of_one_file_are_refused_before_any_work(run_main, photos, tmp_path):
    save_photo(photos / "a.bmp", make_photo(8, 8))
    result = run_main(convert, "-i", photos, "-o", tmp_path / "bin", "numpy")
    assert_one_line_error(result, photos / "a.bmp", photos / "a.png", "rename one")
    assert not (tmp_path / "bin").exists()


def test_missing_and_empty_folders_are_named(run_main, tmp_path):
    assert_one_line_error(run_main(convert, "-i", tmp_path / "gone", "-o", tmp_path / "b", "numpy"),
                          tmp_path / "gone", "there is no such folder")
    assert_one_line_error(run_main(convert, "-i", tmp_path, "-o", tmp_path / "b", "numpy"),
                          tmp_path, "there are no images in it")


def test_an_output_folder_that_cannot_be_written_is_named(run_main, photos, tmp_path):
    (tmp_path / "file").write_text("")
    for command in ("numpy", "bicubic"):
        result = run_main(convert, command, "-i", photos, "-o", tmp_path / "file" / "bin")
        assert_one_line_error(result, tmp_path / "file" / "bin", "cannot be a folder")


def test_dataset_splits_numbers_and_downscales_photos(dataset):
    ids = rows(dataset)
    assert [(image_id, subset) for image_id, subset, _ in ids] == (
        [(i, "train") for i in range(1, 7)] + [(i, "valid") for i in range(7, 9)])
    assert len({source for _, _, source in ids}) == 8
    for image_id, subset, source in ids:
        hr = np.load(dataset / f"DIV2K_{subset}_HR" / f"{image_id:04d}.npy")
        assert np.array_equal(hr, read_image(source))
        for scale in (2, 3, 4):
            lr = np.load(dataset / f"DIV2K_{subset}_LR_bicubic" / f"X{scale}" / f"{image_id:04d}x{scale}.npy")
            assert np.array_equal(lr, downscale(hr, scale))


def test_dataset_follows_when_photos_come_and_go(run_main, photos, tmp_path):
    argv = ["dataset", "-i", photos, "-o", tmp_path / "bin", "--scales", 2, "--validation-fraction", "0.3"]
    run_main(convert, *argv)
    (photos / "a.png").unlink()
    save_photo(photos / "0.png", make_photo(40, 41, seed=9))
    save_photo(photos / "1.png", make_photo(42, 43, seed=10))
    code, _, _ = run_main(convert, *argv)
    assert code == 0
    found = {}
    for image_id, subset, source in rows(tmp_path / "bin"):
        path = tmp_path / "bin" / f"DIV2K_{subset}_HR" / f"{image_id:04d}.npy"
        assert np.array_equal(np.load(path), read_image(source))
        found[path] = source
    assert len(found) == 4
    assert set(found) == set((tmp_path / "bin").glob("DIV2K_*_HR/*.npy"))


def test_dataset_of_one_photo_needs_no_validation_to_be_asked_for(run_main, tmp_path):
    save_photo(tmp_path / "photos" / "a.png", make_photo(20, 20))
    argv = ["dataset", "-i", tmp_path / "photos", "-o", tmp_path / "bin"]
    assert_one_line_error(run_main(convert, *argv), "1 image is too few", "--validation-fraction 0")
    assert run_main(convert, *argv, "--validation-fraction", 0)[0] == 0


def test_an_image_smaller_than_the_scale_is_reported(run_main, tmp_path):
    source = save_photo(tmp_path / "photos" / "a.png", make_photo(3, 9))
    code, out, err = run_main(convert, "bicubic", "-i", tmp_path / "photos", "-o", tmp_path / "LR", "--scales", 4)
    assert code == 1
    assert f"{source}: is 3 x 9, too small to be reduced by 4" in out + err


def test_the_script_runs_from_another_folder(photos, tmp_path):
    result = subprocess.run([sys.executable, ROOT / "convert.py", "-i", "photos", "-o", "bin", "numpy"], cwd=tmp_path,
                            capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "bin" / "below" / "c.npy").exists()


def test_a_failed_start_does_not_bind_the_output_folder_to_its_parameters(run_main, photos, tmp_path):
    (tmp_path / "empty").mkdir()
    assert run_main(convert, "jpeg", "-i", tmp_path / "empty", "-o", tmp_path / "out", "--jpeg-quality", 75)[0] == 1
    assert run_main(convert, "jpeg", "-i", photos, "-o", tmp_path / "out", "--jpeg-quality", 90)[0] == 0
