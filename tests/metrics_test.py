import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from model import LOSSES, crop_margin, pixel_loss, psnr
from tests.conftest import make_photo, to_numpy


@pytest.fixture
def images():
    """Three HR images and their SR versions with noise."""
    hr = np.stack([make_photo(20, 24, seed=i) for i in range(3)])
    noise = np.random.default_rng(0).normal(size=hr.shape) * np.array([1, 5, 20])[:, None, None, None]
    return hr, (hr + noise).astype("float32")


def test_psnr_matches_scikit_image_for_each_image(images):
    hr, sr = images
    expected = [peak_signal_noise_ratio(a.astype(float), b, data_range=255) for a, b in zip(hr, sr, strict=True)]
    assert to_numpy(psnr(hr, sr)) == pytest.approx(expected, abs=1e-4)


def test_psnr_of_equal_images_is_infinite(images):
    assert np.isinf(to_numpy(psnr(images[0], images[0]))).all()


def test_hr_is_cropped_to_the_middle(images):
    hr, sr = images
    assert np.array_equal(to_numpy(crop_margin(hr, sr[:, 4:-4, 4:-4])), hr[:, 4:-4, 4:-4])
    assert np.array_equal(to_numpy(crop_margin(hr, sr)), hr)
    assert to_numpy(psnr(hr, sr[:, 4:-4, 4:-4])) == pytest.approx(to_numpy(psnr(hr[:, 4:-4, 4:-4], sr[:, 4:-4, 4:-4])))


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_has_one_value_a_pixel(images, name):
    hr, sr = (image.astype("float32") for image in images)
    difference = hr[:, 2:-2, 2:-2] - sr[:, 2:-2, 2:-2]
    expected = {"mae": np.abs(difference), "mse": difference**2, "charbonnier": np.sqrt(difference**2 + 1e-6)}[name]
    found = to_numpy(pixel_loss(name)(hr, sr[:, 2:-2, 2:-2]))
    assert found.shape == (3, 16, 20)
    assert found == pytest.approx(expected.mean(axis=-1), rel=1e-5)
