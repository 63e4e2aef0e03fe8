import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from imaging import blur, degrading
from tests.blobs import blob, centroid
from tests.conftest import make_photo

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


def test_a_compressed_image_is_what_its_jpeg_holds(hr, tmp_path):
    Image.fromarray(hr).save(tmp_path / "a.jpg", quality=70, subsampling="4:2:0")
    assert np.array_equal(degrading.compress(hr, 70, "4:2:0"), np.asarray(Image.open(tmp_path / "a.jpg")))
    assert not np.array_equal(degrading.compress(hr, 70, "4:4:4"), degrading.compress(hr, 70, "4:2:0"))
