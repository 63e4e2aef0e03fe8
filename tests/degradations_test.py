import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

import convert
from datasets import conversion, degradations, real_esrgan
from datasets.degradations import Degradation, degrade_photo
from errors import UserError
from imaging import blur, degrading
from imaging.image_files import read_image
from imaging.resize import downscale
from tests.conftest import ROOT, make_photo, save_photo

BACKGROUND = 40  # grey levels: room for ringing
CHAINS = [("photo", 1), ("photo", 2), ("photo2", 1)]
KERNELS = {
    "isotropic": blur.gaussian_kernel(7, 2.0),
    "anisotropic": blur.gaussian_kernel(7, 2.0, 0.7, 0.6),
    "generalized": blur.generalized_gaussian_kernel(10, 2.0, 1.0, 1.0, 0.6),
    "plateau": blur.plateau_kernel(10, 2.0, 1.0, 2.0, 1.5),
    "sinc": blur.sinc_kernel(10, 1.2),
}


@pytest.fixture(scope="module")
def hr():
    return make_photo(96, 120)


def digests(name, order, numbers=range(4)):
    """Returns what the patches of a degradation are known by."""
    degradation = Degradation(name, order=order, seed=3)
    return [int(degradation.lr(make_photo(64, 48), 4, number).astype(np.int64).ravel() @ np.arange(16 * 12 * 3))
            for number in numbers]


def centroid(image):
    """Returns the centre of what is brighter than BACKGROUND in an image, in units of its size: 0.5 is the middle."""
    light = (image.astype(float) - BACKGROUND).sum(axis=2)
    return [((np.arange(length) + 0.5) / length * light.sum(axis=1 - axis)).sum() / light.sum()
            for axis, length in enumerate(light.shape)]


def blob(height, width, y, x):
    """Returns an image with a smooth bright spot at (y, x), in units of its size."""
    rows, columns = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    light = np.exp(-((rows[:, None] - y) ** 2 + (columns - x) ** 2) / (2 * 0.1**2))
    return np.repeat(np.round(BACKGROUND + 180 * light)[..., None], 3, axis=2).astype(np.uint8)


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


@pytest.mark.parametrize("kernel", degrading.REDUCING_KERNELS)
@pytest.mark.parametrize("size", [(32, 16), (24, 36), (53, 41), (150, 131)])
def test_resizing_leaves_the_grid_in_place(kernel, size):
    hr = blob(96, 96, 0.45, 0.55)
    assert np.allclose(centroid(degrading.resize(hr, size, kernel)), centroid(hr), atol=0.0015)


@pytest.mark.parametrize("kernel", degrading.POINT_KERNELS)
@pytest.mark.parametrize("size", [(32, 16), (24, 36), (53, 41), (150, 131)])
def test_interpolation_leaves_the_grid_in_place(kernel, size):
    hr = blob(96, 96, 0.45, 0.55)
    assert np.allclose(centroid(degrading.interpolate(hr, size, kernel)), centroid(hr), atol=0.0015)


def test_resizing_is_symmetric(hr):
    for kernel in degrading.REDUCING_KERNELS:
        reduced, mirrored = (degrading.resize(np.ascontiguousarray(image), (24, 30), kernel).astype(int)
                             for image in (hr, hr[::-1, ::-1]))
        assert abs(reduced - mirrored[::-1, ::-1]).max() <= 1


@pytest.mark.parametrize("name", KERNELS)
def test_a_blur_kernel_is_symmetric_and_keeps_the_brightness(name):
    kernel = KERNELS[name]
    assert kernel.sum() == pytest.approx(1)
    assert np.allclose(kernel, kernel[::-1, ::-1], atol=1e-12)
    flat = np.full((20, 30, 3), 200, np.uint8)
    assert np.array_equal(blur.convolve(flat, kernel), flat)  # at the borders too


@pytest.mark.parametrize("name", KERNELS)
def test_blur_is_the_convolution_with_its_kernel(hr, name):
    expected = np.stack([ndimage.convolve(hr[..., channel].astype(float), KERNELS[name], mode="reflect")
                         for channel in range(3)], axis=2)
    assert abs(blur.convolve(hr, KERNELS[name]) - np.clip(expected, 0, 255)).max() < 1.5


def test_a_gaussian_kernel_has_the_widths_and_the_angle_that_were_asked_for():
    kernel = blur.gaussian_kernel(20, 3.0, 1.5, np.pi / 6)
    y, x = np.mgrid[-20:21, -20:21]
    along, across = np.cos(np.pi / 6) * x + np.sin(np.pi / 6) * y, np.cos(np.pi / 6) * y - np.sin(np.pi / 6) * x
    assert np.sqrt((kernel * along**2).sum()) == pytest.approx(3.0, abs=0.01)
    assert np.sqrt((kernel * across**2).sum()) == pytest.approx(1.5, abs=0.01)


def test_generalized_kernels_of_shape_1_are_gaussian():
    assert np.allclose(blur.generalized_gaussian_kernel(5, 2, 1, 0.3, 1.0), blur.gaussian_kernel(5, 2, 1, 0.3))


def test_a_sinc_kernel_passes_what_is_below_its_cutoff_and_stops_what_is_above():
    transfer = abs(np.fft.fft2(blur.sinc_kernel(10, np.pi / 2), (64, 64)))  # 32 is the frequency pi
    assert transfer[0, 8] == pytest.approx(1, abs=0.1)
    assert transfer[0, 28] < 0.1


def test_noise_has_the_strength_that_was_asked_for():
    grey = np.full((120, 120, 3), 128, np.uint8)
    rng = np.random.default_rng(0)
    for noisy in (degrading.add_gaussian_noise(rng, grey, 8.0),
                  degrading.add_poisson_noise(rng, grey, (255 / 8) ** 2 * 128 / 255)):
        noise = noisy.astype(float) - 128
        assert noise.std() == pytest.approx(8, rel=0.03)
        assert abs(noise.mean()) < 0.2
        assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.05


def test_poisson_noise_grows_with_the_brightness():
    rng = np.random.default_rng(0)
    dark, bright = (degrading.add_poisson_noise(rng, np.full((99, 99, 3), level, np.uint8), 300.0).std()
                    for level in (50, 200))
    assert bright / dark == pytest.approx(2, rel=0.05)


def test_grey_noise_is_the_same_for_all_colours():
    photo = np.full((40, 40, 3), (90, 120, 150), np.uint8)
    rng = np.random.default_rng(0)
    for noisy in (degrading.add_gaussian_noise(rng, photo, 8.0, grey=True),
                  degrading.add_poisson_noise(rng, photo, 500.0, grey=True)):
        noise = noisy.astype(int) - photo
        assert noise.std() > 3
        assert abs(noise - noise[..., :1]).max() <= 1  # rounded


def test_noise_of_a_large_photo_is_added_in_strips_without_a_change(hr, monkeypatch):
    whole = [add(np.random.default_rng(0), hr, 30.0) for add in (degrading.add_gaussian_noise,
                                                                   degrading.add_poisson_noise)]
    monkeypatch.setattr(degrading, "STRIP_SIZE", 7 * hr[0].size)
    strips = [add(np.random.default_rng(0), hr, 30.0) for add in (degrading.add_gaussian_noise,
                                                                    degrading.add_poisson_noise)]
    assert np.array_equal(whole, strips)


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


def test_a_compressed_image_is_what_its_jpeg_holds(hr, tmp_path):
    Image.fromarray(hr).save(tmp_path / "a.jpg", quality=70, subsampling="4:2:0")
    assert np.array_equal(degrading.compress(hr, 70, "4:2:0"), np.asarray(Image.open(tmp_path / "a.jpg")))
    assert not np.array_equal(degrading.compress(hr, 70, "4:4:4"), degrading.compress(hr, 70, "4:2:0"))


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
