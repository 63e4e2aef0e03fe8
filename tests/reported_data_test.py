"""Names, pairs and layouts that people have reported: each with the figure, the images or the words that are right."""

import functools
import json

import numpy as np
import pytest

import convert
import evaluate
import train
from comparison import find_hr
from data import find_training_pairs
from datasets.div2k import find_pairs
from errors import UserError
from evaluation import METRICS, Protocol, folder_samples, load_model, measure
from imaging.resize import downscale
from pretrained import path_of
from tests.conftest import assert_one_line_error, save_photo
from tests.reported_data import picture, reduced, save_appledouble, save_pairs

TOLERANCE = 2e-3  # dB; other pairs are dB away


made_for_evaluation = functools.partial(downscale, border="replicate")


@pytest.fixture(scope="module")
def network():
    """The shipped model for scale 4."""
    return load_model(path_of("wdsr-b-8-x4"))


def right(network, pictures, reduce=reduced):
    """Returns how many `pictures` there are and their mean PSNR in dB, each paired with its own reduced one."""
    protocol, metric = Protocol.named("benchmark"), METRICS[0]
    return len(pictures), np.mean([metric.function(*(protocol.prepare(image, 4) for image in
                                                     (hr, network(reduce(hr, 4).astype("float32")))))
                                   for hr in pictures])


def psnr(network, hr_folder, lr_folder=None):
    samples = folder_samples(hr_folder, lr_folder, 4, "replicate")
    scores = measure(network, samples, Protocol.named("benchmark"), METRICS[:1])
    return len(scores.images), pytest.approx(scores.mean("psnr"), abs=TOLERANCE)


def test_names_that_end_in_x_and_a_digit_are_paired_with_their_own(network, tmp_path):
    pictures = {k: picture(160, 160, k) for k in (2, 3)}
    save_pairs(tmp_path, [(f"HR/box{k}.png", f"LR/box{k}x4.png", image) for k, image in pictures.items()])
    assert right(network, [*pictures.values()]) == psnr(network, tmp_path / "HR", tmp_path / "LR")
    originals = find_hr(sorted((tmp_path / "LR").iterdir()), tmp_path / "HR", 4)
    assert {lr.stem: hr.stem for lr, hr in originals.items()} == {"box2x4": "box2", "box3x4": "box3"}


def test_numbers_of_one_and_two_digits_are_paired_with_basicsr_s_names(network, tmp_path):
    pictures = {k: picture(160, 160, 20 + k) for k in (1, 2, 10)}
    save_pairs(tmp_path, [(f"HR/{k}.png", f"LR/{k}_bicLRx4.png", image) for k, image in pictures.items()])
    assert right(network, [*pictures.values()]) == psnr(network, tmp_path / "HR", tmp_path / "LR")


def test_of_selfexsr_s_folder_the_hr_are_evaluated(network, tmp_path):
    pictures = {k: picture(160, 200, 40 + k) for k in (1, 2, 3)}
    save_pairs(tmp_path, [(f"img_{k:03d}_SRF_4_HR.png", f"img_{k:03d}_SRF_4_LR.png", image)
                          for k, image in pictures.items()])
    assert right(network, [*pictures.values()], made_for_evaluation) == psnr(network, tmp_path)
    assert right(network, [*pictures.values()]) == psnr(network, tmp_path, tmp_path)


def test_appledouble_files_are_not_evaluated(network, tmp_path):
    pictures = {k: picture(160, 160, 60 + k) for k in (1, 2)}
    for k, image in pictures.items():
        save_appledouble(save_photo(tmp_path / f"im{k}.png", image))
    assert right(network, [*pictures.values()], made_for_evaluation) == psnr(network, tmp_path)


def test_of_three_images_one_of_them_damaged_two_are_measured(run_main, network, tmp_path):
    pictures = {k: picture(160, 160, 80 + k) for k in (1, 2, 3)}
    save_pairs(tmp_path, [(f"HR/im{k}.png", f"LR/im{k}.png", image) for k, image in pictures.items()])
    bad = tmp_path / "HR" / "im2.png"
    bad.write_bytes(bad.read_bytes()[:500])
    argv = ["--images", tmp_path / "HR", "--lr-images", tmp_path / "LR", "-i", "wdsr-b-8-x4", "-o", tmp_path / "e.json"]
    code, out, err = run_main(evaluate, *argv)
    assert code == 1
    assert err.count(f"failed: {bad}: ") == 1
    assert "the mean over 2 of 3 images" in out
    assert json.loads((tmp_path / "e.json").read_text()).popitem()[1] == pytest.approx(
        right(network, [pictures[1], pictures[3]])[1], abs=TOLERANCE)


def converted(tmp_path, subsets, scale=2):
    """Writes arrays of the layout: `subsets` is a dict of 'train' and 'valid' to lists of (name of HR, of LR, seed)."""
    for subset, images in subsets.items():
        for hr_name, lr_name, seed in images:
            image = picture(64, 64, seed)
            for path, pixels in ((f"DIV2K_{subset}_HR/{hr_name}", image),
                                 (f"DIV2K_{subset}_LR_{lr_name}", reduced(image, scale))):
                (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
                np.save(tmp_path / f"{path}.npy", pixels)
    return tmp_path


def bicubic(*names, first_seed=0):
    return [(name, f"bicubic/X2/{name}x2", first_seed + i) for i, name in enumerate(names)]


def test_df2k_trains_on_six_different_arrays(tmp_path):
    names = [f"{i:0{digits}d}" for i in (1, 2, 3) for digits in (4, 6)]
    pairs = find_pairs(converted(tmp_path, {"train": bicubic(*names)}), "train", 2, "bicubic")
    assert len({pair.hr.read().tobytes() for pair in pairs}) == 6
    for pair in pairs:
        assert np.array_equal(reduced(pair.hr.read(), 2), pair.lr.read())


@pytest.mark.parametrize("names", [["000001", "000002", "000003"], ["0001_s001", "0001_s002", "0002_s001"]],
                         ids=["Flickr2K", "sub-images"])
def test_other_names_than_div2k_s_train(tmp_path, names):
    folder = converted(tmp_path, {"train": bicubic(*names), "valid": bicubic("0801", first_seed=9)})
    train_pairs, valid_pairs = find_training_pairs(folder, 2, "bicubic")
    assert [pair.name for pair in train_pairs] == names
    assert [pair.name for pair in valid_pairs] == ["0801"]


def test_an_archive_of_all_900_images_is_validated_on_those_that_are_chosen(tmp_path):
    names = ["0001", "0002", "0003", "0801", "0802"]
    folder = converted(tmp_path, {"train": bicubic(*names)})
    train_pairs, valid_pairs = find_training_pairs(folder, 2, "bicubic", valid_ids=range(801, 803))
    assert [pair.name for pair in train_pairs] == names[:3]
    assert [pair.name for pair in valid_pairs] == names[3:]


@pytest.mark.parametrize(("downgrade", "scale", "lr_names"), [
    ("mild", 4, ["mild/0001x4m"]), ("difficult", 4, ["difficult/0001x4d"]),
    ("wild", 4, [f"wild/0001x4w{k}" for k in (1, 2, 3, 4)]), ("bicubic", 8, ["x8/0001x8"])])
def test_all_tracks_of_div2k_train_as_they_were_unpacked(tmp_path, downgrade, scale, lr_names):
    folder = converted(tmp_path, {"train": [("0001", name, 1) for name in lr_names]}, scale)
    pairs = find_pairs(folder, "train", scale, downgrade)
    assert [f"{pair.lr.path.parent.name}/{pair.lr.path.stem}" for pair in pairs] == [
        f"DIV2K_train_LR_{name}" for name in lr_names]
    assert all(np.array_equal(reduced(pair.hr.read(), scale), pair.lr.read()) for pair in pairs)


def test_one_photo_can_be_trained_on_as_the_errors_advise(run_main, tmp_path):
    save_photo(tmp_path / "one" / "a.png", picture(128, 128, 1))
    argv = ["dataset", "-i", tmp_path / "one", "-o", tmp_path / "bin", "--scales", 2]
    assert_one_line_error(run_main(convert, *argv), "--validation-fraction 0 keeps none")
    assert run_main(convert, *argv, "--validation-fraction", 0)[0] == 0
    assert_one_line_error(run_main(train, "-d", tmp_path / "bin", "-o", tmp_path / "output"), "--no-validation")
    train_pairs, valid_pairs = find_training_pairs(tmp_path / "bin", 2, "bicubic", validation=False)
    assert (len(train_pairs), len(valid_pairs)) == (1, 0)


@pytest.mark.slow
def test_validation_photos_stay_what_they_are_when_two_more_come(run_main, tmp_path):
    def subsets():
        lines = (tmp_path / "bin" / "images.csv").read_text().splitlines()[1:]
        return {line.rpartition("/")[2]: line.split(",")[:2] for line in lines}

    argv = ["dataset", "-i", tmp_path / "photos", "-o", tmp_path / "bin", "--scales", 2]
    for i in range(10):
        save_photo(tmp_path / "photos" / f"m{i:02d}.png", picture(48, 48, i))
    run_main(convert, *argv)
    before = subsets()
    assert "valid" in {subset for _, subset in before.values()}
    for i in range(2):
        save_photo(tmp_path / "photos" / f"z{i:02d}.png", picture(48, 48, 50 + i))
    run_main(convert, *argv)
    assert {**subsets(), **before} == subsets()


def test_arrays_one_folder_deeper_are_told_with_the_folder(tmp_path):
    converted(tmp_path, {"train": [("DIV2K_train_HR/0001", "bicubic/X2/0001x2", 1)]})
    with pytest.raises(UserError, match=r"DIV2K_train_HR: .* there are in its folder DIV2K_train_HR: move them up"):
        find_pairs(tmp_path, "train", 2, "bicubic")
