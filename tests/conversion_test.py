import csv
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import convert
from datasets.work import Task, do_tasks
from errors import UserError
from imaging.image_files import read_image
from imaging.resize import downscale
from tests.conftest import ROOT, assert_one_line_error, make_photo, save_photo
from tests.processes import Started


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


@pytest.mark.parametrize("argv", [
    ["-i", "A", "-o", "B", "--downgrade", "bicubic", "photo", "div2k"],
    ["--downgrade", "bicubic", "photo", "-i", "A", "-o", "B", "div2k"]])
def test_a_downgrade_that_is_called_as_a_command_is_none(argv):
    args = convert.parse_args(argv)
    assert (args.command, args.downgrade) == ("div2k", ["bicubic", "photo"])


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
    names = sorted(path.name for path in (tmp_path / "LR").iterdir())
    assert names == [".convert-sources", ".convert.json", "X2", "X3"]
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


@pytest.mark.slow
def test_a_photo_keeps_its_id_and_its_subset_when_others_come(run_main, tmp_path):
    argv = ["dataset", "-i", tmp_path / "photos", "-o", tmp_path / "bin", "--scales", 2, "--validation-fraction", 0.3]
    for i in range(10, 16):
        save_photo(tmp_path / "photos" / f"{i}.png", make_photo(20, 20 + i, seed=i))
    run_main(convert, *argv)
    before = rows(tmp_path / "bin")
    for i in range(10):
        save_photo(tmp_path / "photos" / f"{i}.png", make_photo(20, 20 + i, seed=i))
    _, out, _ = run_main(convert, *argv)
    after = rows(tmp_path / "bin")
    assert "10 images converted, 6 up to date" in out
    assert set(before) < set(after)
    assert len({image_id for image_id, _, _ in after}) == 16
    run_main(convert, *argv[:3], "-o", tmp_path / "afresh", *argv[5:])
    assert {(source, subset) for _, subset, source in rows(tmp_path / "afresh")} == {
        (source, subset) for _, subset, source in after}


@pytest.mark.slow
def test_a_photo_keeps_its_id_and_its_subset_when_its_folder_moves(run_main, photos, tmp_path):
    argv = ["-o", tmp_path / "bin", "--scales", 2, "--validation-fraction", 0.3, "--seed", 5]
    run_main(convert, "dataset", "-i", photos, *argv)
    before = rows(tmp_path / "bin")
    photos.rename(tmp_path / "elsewhere")
    save_photo(tmp_path / "elsewhere" / "0.png", make_photo(20, 20, seed=1))
    assert run_main(convert, "dataset", "-i", tmp_path / "elsewhere", *argv)[0] == 0
    moved = [(image_id, subset, source.replace(str(photos), str(tmp_path / "elsewhere")))
             for image_id, subset, source in before]
    assert set(moved) < set(rows(tmp_path / "bin"))


@pytest.mark.slow
def test_a_split_of_an_earlier_version_is_kept_until_another_is_asked_for(run_main, photos, tmp_path):
    for name in ("a.png", "b.PNG", "below/c.png"):
        outdir = tmp_path / Path(name).stem
        listed = [(7 + i, "valid" if other == name else "train", str(photos / other))
                  for i, other in enumerate(("a.png", "b.PNG", "below/c.png"))]
        outdir.mkdir()
        (outdir / "images.csv").write_text("id,subset,source\n" + "".join(f"{i},{s},{p}\n" for i, s, p in listed))
        (outdir / ".convert.json").write_text('{"dataset": {"border": "symmetric"}}')
        argv = ["dataset", "-i", photos, "-o", outdir, "--scales", 2, "--validation-fraction"]
        run_main(convert, *argv, 0.4)
        assert rows(outdir) == listed
        run_main(convert, *argv, 0)
        assert rows(outdir) == [(image_id, "train", source) for image_id, _, source in listed]
        assert not list(outdir.glob("DIV2K_valid_*/**/*.npy"))


@pytest.mark.parametrize("fraction", [0.001, pytest.param(0.9, marks=pytest.mark.slow)])
def test_of_two_photos_one_is_for_training_and_one_for_validation(run_main, tmp_path, fraction):
    for folder in ("a", "b"):
        save_photo(tmp_path / folder / "1.png", make_photo(20, 20))
    for seed in range(3):
        outdir = tmp_path / f"bin-{seed}"
        argv = ["-o", outdir, "--scales", 2, "--validation-fraction", fraction, "--seed", seed]
        assert run_main(convert, "dataset", "-i", tmp_path / "a", tmp_path / "b", *argv)[0] == 0
        assert [row[:2] for row in rows(outdir)] == [(1, "train"), (2, "valid")]


def save_12_bits(path, white=4095):
    """Writes a 16-bit grey PNG of 12 bits and returns what it shows as 8-bit grey."""
    grey = make_photo(20, 24)[..., 0].copy()
    grey[0, 0] = 255
    path.parent.mkdir(exist_ok=True)
    Image.fromarray((grey.astype(np.uint32) * white // 255).astype(np.uint16)).save(path)
    return grey


@pytest.mark.slow
def test_a_range_of_12_bits_is_named_and_scaled_by_its_white_level(run_main, tmp_path):
    grey = save_12_bits(tmp_path / "photos" / "a.png")
    save_12_bits(tmp_path / "photos" / "b.png", 4000)
    argv = ["numpy", "-i", tmp_path / "photos", "-o", tmp_path / "bin"]
    code, _, err = run_main(convert, *argv)
    assert code == 0
    assert "warning: 16-bit images whose values end at 4095 or below: 2, such as " in err
    assert err.rstrip().endswith("--white-level 4095")
    assert np.load(tmp_path / "bin" / "a.npy").max() == 16
    _, out, err = run_main(convert, *argv, "--white-level", 4095)
    assert "2 images converted" in out
    assert err == ""
    assert np.abs(np.load(tmp_path / "bin" / "a.npy")[..., 0].astype(int) - grey).max() <= 1
    assert np.load(tmp_path / "bin" / "a.npy").max() == 255
    assert "2 up to date" in run_main(convert, *argv, "--white-level", 4095)[1]
    assert "2 images converted" in run_main(convert, *argv)[1]


@pytest.mark.parametrize("command", ["bicubic", "jpeg", "photo", "dataset"])
def test_a_value_above_the_white_level_is_named_whatever_is_made(run_main, tmp_path, command):
    for name in ("a.png", "b.png"):
        save_12_bits(tmp_path / "photos" / name)
    words = [] if command == "jpeg" else ["--scales", 2]
    code, out, err = run_main(convert, command, "-i", tmp_path / "photos", "-o", tmp_path / "bin", *words,
                              "--white-level", 1023)
    assert code == 1
    assert f"{tmp_path / 'photos' / 'a.png'}: holds the value 4095, above the white level 1023" in out + err


@pytest.fixture
def own_pairs(tmp_path):
    """Folders HR and LR of three pairs of scale 2, one of them in a subfolder, whose names differ."""
    pairs = {}
    for i, (hr_name, lr_name) in enumerate((("a_HR.png", "a.png"), ("b.png", "bx2.png"), ("c/1.png", "c/1.png"))):
        hr = save_photo(tmp_path / "HR" / hr_name, make_photo(25, 30 + i, seed=i))
        pairs[str(hr)] = save_photo(tmp_path / "LR" / lr_name, make_photo(12, 15 + i // 2, seed=9 + i))
    return pairs


def test_own_pairs_become_a_data_set(run_main, own_pairs, tmp_path):
    from data import find_training_pairs

    argv = ["dataset", "-i", tmp_path / "HR", "--lr-images", tmp_path / "LR", "-o", tmp_path / "bin", "--scales", 2,
            "--downgrade", "camera"]
    code, out, _ = run_main(convert, *argv)
    assert code == 0
    assert "3 images converted" in out
    sources = {f"{image_id:04d}": source for image_id, _, source in rows(tmp_path / "bin")}
    train, valid = find_training_pairs(tmp_path / "bin", 2, "camera")
    assert len(train + valid) == 3
    for pair in train + valid:
        assert np.array_equal(pair.hr.read(), read_image(sources[pair.name]))
        assert np.array_equal(pair.lr.read(), read_image(own_pairs[sources[pair.name]]))
        assert pair.load(2)[0].shape[:2] == tuple(2 * size for size in pair.lr_shape[:2])
    save_photo(tmp_path / "LR" / "a.png", make_photo(12, 15, seed=20))
    assert "1 images converted, 2 up to date" in run_main(convert, *argv)[1]


@pytest.mark.slow
def test_bicubic_images_can_join_own_ones(run_main, own_pairs, tmp_path):
    argv = ["dataset", "-i", tmp_path / "HR", "-o", tmp_path / "bin", "--scales", 2]
    for words in (["--lr-images", tmp_path / "LR"], ["--border", "replicate"], ["--lr-images", tmp_path / "LR"]):
        assert run_main(convert, *argv, *words)[0] == 0
    assert len(list((tmp_path / "bin").glob("DIV2K_*_LR_own/X2/*.npy"))) == 3
    assert len(list((tmp_path / "bin").glob("DIV2K_*_LR_bicubic/X2/*.npy"))) == 3
    assert_one_line_error(run_main(convert, *argv, "--border", "symmetric"), "replicate", "symmetric")


@pytest.mark.parametrize("size", [(13, 15), (12, 16), (11, 15), (25, 30)])
def test_low_resolution_of_another_size_is_named_and_not_made(run_main, own_pairs, tmp_path, size):
    path = save_photo(tmp_path / "LR" / "a.png", make_photo(*size))
    code, out, err = run_main(convert, "dataset", "-i", tmp_path / "HR", "--lr-images", tmp_path / "LR",
                              "-o", tmp_path / "bin", "--scales", 2)
    assert code == 1
    assert (f"failed: {path}: is {size[0]} x {size[1]}, which does not fit its high-resolution image of 25 x 30: at "
            "scale 2 that would be 12 x 15") in out + err
    assert len(list((tmp_path / "bin").glob("*_HR/*.npy"))) == 2


def test_own_pairs_that_do_not_fit_by_name_are_paired_by_order_when_asked_for(run_main, own_pairs, tmp_path):
    (tmp_path / "LR" / "a.png").rename(tmp_path / "LR" / "another.png")
    argv = ["dataset", "-i", tmp_path / "HR", "--lr-images", tmp_path / "LR", "-o", tmp_path / "bin", "--scales", 2]
    assert_one_line_error(run_main(convert, *argv), "no image is named after a_HR.png", "--pair-by order")
    assert not (tmp_path / "bin").exists()
    code, out, _ = run_main(convert, *argv, "--pair-by", "order")
    assert code == 0
    assert "in the order of the names" in out


@pytest.mark.parametrize(("words", "message"), [
    (["--lr-images", "L"], "--lr-images are of one scale"),
    (["--downgrade", "mine"], "--downgrade belongs to --lr-images"),
    (["--lr-images", "L", "--scales", "2", "-i", "A", "B"], "--lr-images takes one --indir")])
def test_options_that_do_not_fit_own_pairs_are_refused(capsys, words, message):
    with pytest.raises(SystemExit):
        convert.parse_args(["dataset", "-i", "A", "-o", "B", *words])
    assert message in capsys.readouterr().err


def test_dataset_of_one_photo_needs_no_validation_to_be_asked_for(run_main, tmp_path):
    save_photo(tmp_path / "photos" / "a.png", make_photo(20, 20))
    argv = ["dataset", "-i", tmp_path / "photos", "-o", tmp_path / "bin"]
    assert_one_line_error(run_main(convert, *argv), "1 image is too few",
                          "--validation-fraction 0 keeps none, for training without validation")
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


@pytest.fixture
def many(tmp_path):
    """A folder of 24 images that take seconds."""
    first = save_photo(tmp_path / "photos" / "00.bmp", make_photo(800, 1000))
    for i in range(1, 24):
        os.link(first, first.with_name(f"{i:02d}.bmp"))
    return first.parent


def start_dataset(photos, outdir):
    """Starts a conversion and waits for its first file."""
    started = Started("convert.py", "dataset", "-i", photos, "-o", outdir, "--num-workers", 2)
    started.wait_until(lambda: list(outdir.glob("*/*.npy")))
    return started


def assert_whole(outdir):
    """Asserts that every array that is there is whole, and that there is nothing half-written."""
    assert not list(outdir.rglob("*.part*"))
    for path in outdir.rglob("*.npy"):
        assert np.load(path).ndim == 3


@pytest.mark.slow
@pytest.mark.parametrize(("number", "times", "code"), [
    (signal.SIGINT, 1, 130), (signal.SIGINT, 2, 130), (signal.SIGINT, 3, 130), (signal.SIGTERM, 1, 143),
    (signal.SIGTERM, 3, 143), (signal.SIGHUP, 1, 129)])
def test_a_signal_ends_a_conversion_at_once_and_it_can_be_gone_on_with(run_main, many, tmp_path, number, times, code):
    started = start_dataset(many, tmp_path / "bin")
    started.signal_group(number, times)
    returned, out = started.end(seconds=10)
    assert returned == code, out
    assert "Traceback" not in out
    assert len(out.splitlines()) == 2, out
    assert "not done" in out.splitlines()[0]
    assert started.left() == []
    assert_whole(tmp_path / "bin")
    _, out, _ = run_main(convert, "dataset", "-i", many, "-o", tmp_path / "bin")
    assert "0 failed: " in out
    assert len(list((tmp_path / "bin").glob("*/*.npy"))) == 24
    assert len(list((tmp_path / "bin").glob("*/*/*.npy"))) == 72
    assert_whole(tmp_path / "bin")


@pytest.mark.slow
def test_no_worker_outlives_a_conversion_that_is_killed(many, tmp_path):
    for i in range(10):
        outdir = tmp_path / f"bin-{i}"
        started = start_dataset(many, outdir)
        started.process.kill()
        assert started.left() == []


@pytest.mark.slow
def test_a_worker_that_is_killed_is_an_error_after_what_is_finished_is_kept(run_main, many, tmp_path):
    started = start_dataset(many, tmp_path / "bin")
    started.wait_until(lambda: len(list((tmp_path / "bin").glob("*/*.npy"))) > 4)
    os.kill(started.workers()[0], signal.SIGKILL)
    code, out = started.end()
    assert code == 1
    assert "Traceback" not in out
    assert out.count("error: ") == 1
    assert f"error: {tmp_path / 'bin'}: a worker process was killed" in out
    not_done = [line for line in out.splitlines() if line.startswith("not done: ")]
    assert not_done[0].startswith(f"not done: {many}")
    assert_whole(tmp_path / "bin")
    summary = next(line for line in out.splitlines() if "images converted" in line).split()
    finished, left = int(summary[0]), int(summary[9])
    assert finished + left == 24
    assert finished > 0
    _, out, _ = run_main(convert, "dataset", "-i", many, "-o", tmp_path / "bin")
    assert f"{left} images converted, {finished} up to date, 0 failed" in out


def raise_something_odd(path, image):
    raise AssertionError(f"odd\n{image.shape}")


def test_any_error_of_one_image_is_reported_and_the_rest_is_done(photos, tmp_path, capsys):
    from datasets.conversion import write_array

    tasks = [Task(photos / "a.png", {tmp_path / "bin" / "a.npy": raise_something_odd}),
             Task(photos / "gone.png", {tmp_path / "bin" / "gone.npy": write_array}),
             Task(photos / "b.PNG", {tmp_path / "bin" / "b.npy": write_array})]
    assert do_tasks(tasks, tmp_path / "bin", 1, debug=True) == 1
    output = capsys.readouterr()
    assert f"failed: {photos / 'a.png'}: AssertionError: odd (24, 30, 3)\n" in output.out
    assert f"failed: {photos / 'gone.png'}: No such file or directory\n" in output.out
    assert "1 images converted, 0 up to date, 2 failed" in output.out
    assert "in raise_something_odd" in output.err
    assert do_tasks(tasks[:1], tmp_path / "bin", 1) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_a_photo_that_is_replaced_by_an_older_one_is_converted_again(run_main, photos, tmp_path):
    argv = [convert, "-i", photos, "-o", tmp_path / "bin", "numpy"]
    run_main(*argv)
    save_photo(photos / "a.png", make_photo(8, 8))
    os.utime(photos / "a.png", ns=(10**18, 10**18))
    assert "1 images converted, 2 up to date" in run_main(*argv)[1]
    save_photo(photos / "a.png", make_photo(9, 9))
    os.utime(photos / "a.png", ns=(10**18, 10**18))  # another size of the same time
    assert "1 images converted, 2 up to date" in run_main(*argv)[1]
    assert np.load(tmp_path / "bin" / "a.npy").shape == (9, 9, 3)
    assert "0 images converted, 3 up to date" in run_main(*argv)[1]


def test_arrays_of_an_earlier_version_are_kept_unless_older_than_their_photos(run_main, photos, tmp_path):
    argv = [convert, "-i", photos, "-o", tmp_path / "bin", "numpy"]
    run_main(*argv)
    (tmp_path / "bin" / ".convert-sources").unlink()
    os.utime(tmp_path / "bin" / "a.npy", ns=(10**18, 10**18))
    assert "1 images converted, 2 up to date" in run_main(*argv)[1]
    assert "0 images converted, 3 up to date" in run_main(*argv)[1]


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"5", b"\xff", b"{", b"[" * 10**5, b'{"a": 1}\n{}'])
def test_a_damaged_record_of_the_parameters_is_named(run_main, photos, tmp_path, content):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".convert.json").write_bytes(content)
    result = run_main(convert, "jpeg", "-i", photos, "-o", tmp_path / "out")
    assert_one_line_error(result, tmp_path / "out" / ".convert.json", "is damaged", "remove it")


HEADER = b"id,subset,source\r\n"


@pytest.mark.parametrize("content", [
    b"", b"name,price\r\nx,1\r\n", HEADER + b"1,train\r\n", HEADER + b"x,train,a.png\r\n",
    HEADER + b"-1,train,a.png\r\n", HEADER + b"1,test,a.png\r\n", HEADER + b"1,/../../beside,a.png\r\n",
    HEADER + b"9" * 5000 + b",train,a.png\r\n", HEADER + b"1,train,a.png,b\r\n", HEADER + b'1,train,"a.png\r\n',
    HEADER + b"1,train,\x00" + b"a" * 200_000 + b"\r\n"])
def test_a_damaged_list_of_photos_is_named_and_removes_nothing(run_main, photos, tmp_path, content):
    outdir = tmp_path / "bin"
    beside = tmp_path / "beside_HR" / "0001.npy"
    for path in (beside, outdir / "DIV2K_" / "x", outdir / "DIV2K_train_HR" / "0001.npy"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("kept")
    (outdir / "images.csv").write_bytes(content)
    result = run_main(convert, "dataset", "-i", photos, "-o", outdir)
    assert_one_line_error(result, outdir / "images.csv", "remove it")
    assert (outdir / "images.csv").read_bytes() == content
    assert beside.read_text() == (outdir / "DIV2K_train_HR" / "0001.npy").read_text() == "kept"


@pytest.mark.parametrize("name", [".convert.json", ".convert-sources", "images.csv"])
def test_a_pipe_in_place_of_a_list_is_named_and_not_opened(run_main, photos, tmp_path, name):
    (tmp_path / "bin").mkdir()
    os.mkfifo(tmp_path / "bin" / name)
    result = run_main(convert, "dataset", "-i", photos, "-o", tmp_path / "bin")
    assert_one_line_error(result, tmp_path / "bin" / name, "is no regular file")


@pytest.mark.slow
def test_names_that_are_not_utf8_and_control_characters_are_converted_in_any_locale(tmp_path):
    names = [b"\xff\xe9.png", b"line\nbreak.png", b"escape\x1b[2J.png", b"bad-\xfe\n.png", b"n" * 251 + b".png"]
    photos = tmp_path / os.fsdecode(b"photos-\xff")
    for i, name in enumerate(map(os.fsdecode, names)):
        save_photo(tmp_path / "a.png", make_photo(20 + i, 30, seed=i))
        photos.mkdir(exist_ok=True)
        shutil.move(tmp_path / "a.png", photos / name)
    (photos / os.fsdecode(names[3])).write_bytes(b"no image")
    for locale in ({"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}):
        outdir = tmp_path / os.fsdecode(b"bin-\xff") / str(len(locale))
        for converted in (4, 0):
            code, out = Started("convert.py", "dataset", "-i", photos, "-o", outdir, "--scales", 2, **locale).end()
            assert code == 1
            assert "Traceback" not in out
            assert f"{converted} images converted, {4 - converted} up to date, 1 failed" in out
            assert r"photos-\udcff/bad-\udcfe\n.png: cannot be read" in out
            assert out.isascii()
        assert len(list(outdir.rglob("*.npy"))) == 8


def test_do_tasks_says_what_a_worker_that_is_killed_costs(photos, tmp_path, capsys):
    tasks = [Task(path, {tmp_path / f"{path.stem}.npy": end_the_process}) for path in photos.glob("*.*")]
    with pytest.raises(UserError, match="2 images were not done"):
        do_tasks(tasks, tmp_path, 1)
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith(f"not done: {photos}")]) == 2


def end_the_process(path, image):
    os._exit(1)
