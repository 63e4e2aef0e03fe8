import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from choices import METRICS_ON_REQUEST, PROTOCOLS
from evaluation import METRICS, Protocol, choose_metrics, image_psnr, image_ssim, mean_squared_error, y_channel
from imaging.image_files import read_image
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
    spectrum = np.fft.fft2(difference, axes=(1, 2), norm="ortho")
    spectral = np.mean(np.abs(spectrum.real) + np.abs(spectrum.imag), axis=(1, 2, 3), keepdims=True)
    expected = {"mae": np.abs(difference), "mse": difference**2, "charbonnier": np.sqrt(difference**2 + 1e-6),
                "fourier": np.abs(difference) + spectral}[name]
    found = to_numpy(pixel_loss(name)(hr, sr[:, 2:-2, 2:-2]))
    assert found.shape == (3, 16, 20)
    assert found == pytest.approx(expected.mean(axis=-1), rel=1e-5)


def test_y_is_matlabs_rgb2ycbcr():
    colours = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]], float)
    assert y_channel(colours) == pytest.approx([16, 235, 81.481, 144.553, 40.966], rel=1e-6)


def test_ssim_is_that_of_the_paper_where_the_window_fits(images):
    hr, sr = (y_channel(image[0].astype(float)) for image in images)
    window = np.exp(-np.arange(-5, 6)**2 / (2 * 1.5**2))
    window = np.outer(window, window) / window.sum()**2

    def local_mean(image):
        return (np.lib.stride_tricks.sliding_window_view(image, (11, 11)) * window).sum(axis=(2, 3))

    mean_hr, mean_sr = local_mean(hr), local_mean(sr)
    var_hr, var_sr = local_mean(hr**2) - mean_hr**2, local_mean(sr**2) - mean_sr**2
    covariance = local_mean(hr * sr) - mean_hr * mean_sr
    c1, c2 = (0.01 * 255)**2, (0.03 * 255)**2
    expected = ((2 * mean_hr * mean_sr + c1) * (2 * covariance + c2)
                / ((mean_hr**2 + mean_sr**2 + c1) * (var_hr + var_sr + c2))).mean()
    assert image_ssim(hr[..., None], sr[..., None]) == pytest.approx(expected, abs=1e-7)
    assert np.isnan(image_ssim(hr[:10, :, None], sr[:10, :, None]))


@pytest.mark.parametrize("size", [(11, 11), (11, 40), (37, 12), (200, 333), (700, 90)])
def test_ssim_matches_scikit_image(size):
    hr = make_photo(*size).astype("float32")
    sr = np.clip(hr + np.random.default_rng(0).normal(size=hr.shape) * 9, 0, 255).astype("float32")
    expected = structural_similarity(hr.astype("float64"), sr.astype("float64"), gaussian_weights=True, sigma=1.5,
                                     use_sample_covariance=False, data_range=255, channel_axis=-1)
    assert image_ssim(hr, sr) == pytest.approx(expected, abs=1e-10)


def test_psnr_of_images_matches_scikit_image(images):
    hr, sr = images[0][1].astype(float), images[1][1].astype(float)
    assert image_psnr(hr, sr) == pytest.approx(peak_signal_noise_ratio(hr, sr, data_range=255), abs=1e-9)
    assert image_psnr(hr, hr) == float("inf")


def test_the_mean_squared_error_is_summed_in_float64():
    hr = np.full((2000, 2000, 1), 255, np.float32)
    assert mean_squared_error(hr, np.zeros_like(hr)) == 255**2
    hr[0, 0] += 1
    assert mean_squared_error(hr, np.full_like(hr, 255)) == 1 / hr.size
    assert mean_squared_error(hr, hr) == 0


def test_metrics_on_request_are_left_out_unless_asked_for():
    names = [metric.name for metric in METRICS]
    assert set(METRICS_ON_REQUEST) <= set(names)
    assert [metric.name for metric in choose_metrics()] == ["psnr"]
    assert [metric.name for metric in choose_metrics(["ssim"])] == ["psnr", "ssim"]


def test_protocols_are_known_by_their_names():
    assert Protocol.named("benchmark") == ("y", "scale", True)
    assert Protocol.named("original") == ("rgb", "0", False)
    for name in PROTOCOLS:
        assert Protocol.named(name)._asdict() == PROTOCOLS[name]


def test_a_protocol_says_what_is_compared():
    image = np.array([[[0.5, 300, -3], [1.4, 0, 0]]])
    assert Protocol("rgb", "0", False).prepare(image, 2) == pytest.approx(image)
    assert Protocol("rgb", "0", True).prepare(image, 2).tolist() == [[[1, 255, 0], [1, 0, 0]]]
    large = make_photo(40, 30)
    assert np.array_equal(Protocol("rgb", "scale+6", True).prepare(large, 3), large[9:-9, 9:-9])
    luma = y_channel(large[4:-4, 4:-4].astype(float))
    assert Protocol("y", "scale", True).prepare(large, 4)[..., 0] == pytest.approx(luma, abs=1e-4)
    assert str(Protocol("y", "scale", True)) == "Y channel, border of scale pixels removed, rounded"


@pytest.mark.parametrize(("scale", "published"), [(2, 38.274), (3, 34.742), (4, 32.634)])
def test_another_networks_images_get_their_published_psnr(test_data, scale, published):
    protocol, values = Protocol("y", "scale", True), []
    sr_paths = sorted((test_data / "reference_sr" / "RCAN_Set5").rglob(f"*x{scale}.png"))
    hr_paths = sorted((test_data / "testsets" / "Set5").glob("*.png"))
    for hr_path, sr_path in zip(hr_paths, sr_paths, strict=True):
        sr = read_image(sr_path)
        hr = read_image(hr_path)[:sr.shape[0], :sr.shape[1]]
        values.append(image_psnr(protocol.prepare(hr, scale), protocol.prepare(sr, scale)))
    assert np.mean(values) == pytest.approx(published, abs=1e-3)
