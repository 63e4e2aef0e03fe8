import subprocess
import sys

import numpy as np
import pytest

import convert
from datasets import conversion, degradations, real_esrgan
from datasets.degradations import Degradation, degrade_photo
from errors import UserError
from imaging import blur, degrading
from imaging.image_files import read_image
from imaging.resize import downscale
from tests.blobs import blob, centroid
from tests.conftest import ROOT, make_photo, save_photo

CHAINS = [("photo", 1), ("photo", 2), ("photo2", 1)]


@pytest.fixture(scope="module")
def hr():
    return make_photo(96, 120)


def digests(name, order, numbers=range(4)):
    """Returns what the patches of a degradation are known by."""
    degradation = Degradation(name, order=order, seed=3)
    return [int(degradation.lr(make_photo(64, 48), 4, number).astype(np.int64).ravel() @ np.arange(16 * 12 * 3))
            for number in numbers]


@pytest.mark.parametrize(("name", "order"), CHAINS)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_lr_has_the_size_of_hr_divided_by_the_scale(hr, name, order, scale):
    for number in range(4):
        lr = Degradation(name, order=order).lr(hr[:95, :97], scale, number)
        assert lr.shape == (95 // scale, 97 // scale, 3)
        assert lr.dtype == np.uint8


@pytest.mark.parametrize(("name", "order"), CHAINS)
def test_an_image_is_a_function_of_seed_and_number_alone(hr, name, order):
    first = [Degradation(name, order=order, seed=1).lr(hr, 4, number) for number in range(6)]
    again = Degradation(name, order=order, seed=1)
    for number in reversed(range(6)):
        assert np.array_equal(again.lr(hr, 4, number), first[number])
    assert len({lr.tobytes() for lr in first}) == 6
    assert not np.array_equal(Degradation(name, order=order, seed=2).lr(hr, 4, 0), first[0])


def test_another_process_makes_the_same_images():
    code = ("from tests.degradations_test import CHAINS, digests\n"
            "print([digests(*chain) for chain in reversed(CHAINS)])")
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.strip() == str([digests(*chain) for chain in reversed(CHAINS)]), result.stderr


@pytest.mark.parametrize(("name", "order"), CHAINS)
def test_strength_0_is_bicubic_exactly(hr, name, order):
    for number in range(3):
        assert np.array_equal(Degradation(name, 0, order).lr(hr, 4, number), downscale(hr, 4))


@pytest.mark.parametrize(("name", "order"), CHAINS)
def test_images_get_worse_with_the_strength(hr, name, order):
    bicubic = downscale(hr, 4).astype(float)
    errors = [np.mean([np.square(Degradation(name, strength, order).lr(hr, 4, number) - bicubic).mean()
                       for number in range(20)]) for strength in (0.2, 1, 3)]
    assert errors[0] < errors[1] < errors[2]


@pytest.mark.parametrize(("name", "order"), CHAINS)
def test_no_chain_moves_the_image(monkeypatch, name, order):
    for noise in ("add_gaussian_noise", "add_poisson_noise"):
        monkeypatch.setattr(degrading, noise, lambda rng, image, *args, **options: image)
    hr = blob(96, 96, 0.45, 0.55)
    mean = np.mean([Degradation(name, order=order).lr(hr, 4, number).astype(float) for number in range(60)], axis=0)
    # Half a pixel of the reduced image, the usual fault, would be 0.021; a half of HR's, 0.0052.
    assert np.allclose(centroid(mean), centroid(hr), atol=0.0025)


def compressions(monkeypatch, name, strength=1.0, order=1, count=120):
    """Returns quality and subsampling of every JPEG that a degradation makes of `count` images."""
    calls = []

    def compress(image, quality, subsampling):
        calls.append((quality, subsampling))
        return image

    monkeypatch.setattr(degrading, "compress", compress)
    hr = make_photo(16, 16)
    for number in range(count):
        Degradation(name, strength, order).lr(hr, 4, number)
    return calls


@pytest.mark.parametrize(("name", "strength", "lowest"), [
    ("photo", 1, 60), ("photo", 2, 25), ("photo", 0.5, 78), ("photo2", 1, 30)])
def test_the_whole_range_of_jpeg_qualities_is_used(monkeypatch, name, strength, lowest):
    qualities, subsamplings = zip(*compressions(monkeypatch, name, strength), strict=True)
    assert lowest <= min(qualities) <= lowest + 4
    assert 92 <= max(qualities) <= 95
    assert min(subsamplings.count(kind) for kind in ("4:4:4", "4:2:0")) > 0.35 * len(subsamplings)


def test_a_second_order_photo_goes_through_the_chain_twice(monkeypatch):
    once, twice = (len(compressions(monkeypatch, "photo", order=order)) for order in (1, 2))
    assert once == pytest.approx(120 * degradations.JPEG_PROBABILITY, rel=0.2)
    assert twice == pytest.approx(2 * 120 * degradations.JPEG_PROBABILITY, rel=0.2)
    assert len(compressions(monkeypatch, "photo2")) == 240


def test_every_kind_of_kernel_and_interpolation_of_real_esrgan_is_drawn(monkeypatch, hr):
    drawn = set()

    def recorder(name, make):
        def record(radius, *args):
            drawn.update((name, 2 * radius + 1))
            return make(radius, *args)

        return record

    for name in ("gaussian_kernel", "generalized_gaussian_kernel", "plateau_kernel", "sinc_kernel"):
        monkeypatch.setattr(blur, name, recorder(name, getattr(blur, name)))
    for number in range(60):
        Degradation("photo2").lr(hr[:16, :16], 4, number)
    assert drawn == {"gaussian_kernel", "generalized_gaussian_kernel", "plateau_kernel", "sinc_kernel",
                     7, 9, 11, 13, 15, 17, 19, 21}
    assert sum(real_esrgan.KERNEL_SHARES.values()) == pytest.approx(1)


def test_a_result_can_be_written_to(hr):
    for number in range(8):
        assert Degradation("photo").lr(hr, 4, number).flags.writeable


def test_the_smallest_photos_are_degraded():
    for name, order in CHAINS:
        for number in range(20):
            assert Degradation(name, 3, order).lr(make_photo(4, 5), 4, number).shape == (1, 1, 3)


@pytest.mark.parametrize(("arguments", "text"), [
    ({"name": "blur"}, "degradation blur is unknown: choose photo or photo2"),
    ({"name": "photo", "strength": 4}, "strength 4 .* choose 0 to 3"),
    ({"name": "photo", "order": 3}, "order 3 .* choose 1 or 2")])
def test_what_there_is_not_is_refused(arguments, text):
    with pytest.raises(UserError, match=text):
        Degradation(**arguments)


def test_a_photo_is_degraded_by_its_name(hr):
    first = degrade_photo(hr, 4, "a", seed=1)
    assert np.array_equal(degrade_photo(hr, 4, "a", seed=1), first)
    assert not np.array_equal(degrade_photo(hr, 4, "b", seed=1), first)
    assert not np.array_equal(degrade_photo(hr, 4, "a", seed=2), first)
    assert degrade_photo(hr, 4, "not UTF-8: \udcff").shape == first.shape  # so Python reads the name of such a file


@pytest.fixture
def photos(tmp_path):
    """A folder of two photos, and its images by name."""
    images = {"b": make_photo(24, 30), "below/c": make_photo(25, 31, seed=1)}
    for name, image in images.items():
        save_photo(tmp_path / "photos" / f"{name}.png", image)
    return tmp_path / "photos", images


def test_convert_degrades_a_folder(run_main, photos, tmp_path):
    folder, images = photos
    code, out, _ = run_main(convert, "photo", "-i", folder, "-o", tmp_path / "LR", "--scales", 2, 4, "--seed", 5,
                            "--downgrade-strength", 1.5, "--downgrade-order", 2, "--num-workers", 1)
    assert code == 0
    assert "2 images converted" in out
    for name, image in images.items():
        for scale in (2, 4):
            expected = degrade_photo(image, scale, name, strength=1.5, order=2, seed=5)
            assert np.array_equal(read_image(tmp_path / "LR" / f"X{scale}" / f"{name}x{scale}.png"), expected)


def test_a_photo_is_degraded_alike_whatever_else_is_in_its_folder(photos, tmp_path):
    folder, images = photos

    def make(outdir):
        for task in conversion.degraded_tasks(folder, outdir, [4], "photo2", 1.0, 1, 5):
            for path, write in task.make.items():
                write(path, read_image(task.source))
        return {path.relative_to(outdir): path.read_bytes() for path in outdir.rglob("*.png")}

    before = make(tmp_path / "before")
    assert len(before) == len(images)
    save_photo(folder / "a.png", make_photo(20, 20))
    assert before.items() < make(tmp_path / "after").items()


def test_degraded_photos_of_other_parameters_do_not_mix(photos, tmp_path):
    conversion.degraded_tasks(photos[0], tmp_path / "LR", [4], "photo", 1.5, 1, 0)
    with pytest.raises(UserError, match=r"was made with .*'strength': 1.5.*, not with .*'strength': 1.0"):
        conversion.degraded_tasks(photos[0], tmp_path / "LR", [4], "photo", 1.0, 1, 0)


def test_a_photo_that_is_too_small_is_not_degraded(tmp_path):
    with pytest.raises(UserError, match="is 3 x 9, too small to be reduced by 4"):
        conversion.write_degraded(4, tmp_path / "a.png", make_photo(3, 9), photo="a")


def test_convert_refuses_options_of_other_commands(capsys):
    for argv, text in ((["bicubic", "--downgrade-strength", "1"], "is an option of photo and photo2, not of bicubic"),
                       (["photo2", "--downgrade-order", "2"], "is an option of photo, not of photo2")):
        with pytest.raises(SystemExit):
            convert.parse_args([*argv, "-i", "A", "-o", "B"])
        assert text in capsys.readouterr().err
