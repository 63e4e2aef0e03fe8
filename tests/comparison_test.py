import math
import tracemalloc

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

import weights
from comparison import Comparison, comparison_figure, find_hr, load_hr
from comparison.pair import PROTOCOL
from comparison.regions import Region, bicubic, most_detailed
from errors import UserError
from evaluation import Bicubic, Sample, choose_metrics, compare_by_bands, image_psnr, image_ssim, measure
from imaging.image_files import read_image
from imaging.resize import imresize
from super_resolution import SuperResolver
from tests.conftest import ROOT, make_photo, save_photo

ODD_SIZES = [(1, 1), (1, 30), (30, 1), (7, 5), (3, 200), (61, 33)]


def make_comparison(height, width, scale=4, with_hr=True, name="photo.png", model_name="net"):
    """Returns a comparison whose images are all different, of an LR image of `height` x `width`."""
    lr, sr, hr = (make_photo(max(factor * height, 8), max(factor * width, 8), seed)[:factor * height, :factor * width]
                  for seed, factor in enumerate((1, scale, scale)))
    return Comparison(lr, sr, scale, name, model_name, hr if with_hr else None)


def contains(figure, patch):
    """Whether the pixels of `patch` stand somewhere in `figure`."""
    figure, patch = np.asarray(figure), np.asarray(patch)
    y, x = np.unravel_index(patch.sum(axis=2).argmin(), patch.shape[:2])
    for top, left in np.argwhere((figure == patch[y, x]).all(axis=2)) - (y, x):
        if top >= 0 and left >= 0 and np.array_equal(figure[top:top + len(patch), left:left + patch.shape[1]], patch):
            return True
    return False


def text_pixels(text, size, colour, width=240):
    """Returns a text as it stands below a panel."""
    strip = Image.new("RGB", (width, size + 6), "white")
    ImageDraw.Draw(strip).text((width / 2, 2), text, colour, ImageFont.load_default(size), "ma")
    return strip


def enlarged(image, factor):
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_panels_hold_the_pixels_of_the_region(scale):
    comparison = make_comparison(70, 95, scale)
    figure, region = comparison_figure(comparison), comparison.region
    whole = imresize(comparison.lr, scale, "replicate")
    assert (region.height * scale, region.width * scale) == (120, 120)
    assert contains(figure, enlarged(region.of(comparison.lr), 2 * scale))
    for image in (whole, comparison.sr, comparison.hr):
        assert contains(figure, enlarged(region.of(image, scale), 2))
    without = comparison_figure(make_comparison(70, 95, scale, with_hr=False))
    assert contains(without, enlarged(region.of(comparison.sr, scale), 2))
    assert not contains(without, enlarged(region.of(comparison.hr, scale), 2))


@pytest.mark.parametrize("size", ODD_SIZES)
@pytest.mark.parametrize("with_hr", [True, False])
def test_images_of_any_size_are_drawn_and_the_region_lies_inside(size, with_hr):
    comparison = make_comparison(*size, with_hr=with_hr)
    figure, region = comparison_figure(comparison), comparison.region
    assert 0 <= region.top <= region.top + region.height <= size[0]
    assert 0 <= region.left <= region.left + region.width <= size[1]
    sr = region.of(comparison.sr, 4)
    assert sr.shape == (min(120, 4 * size[0]), min(120, 4 * size[1]), 3)
    assert contains(figure, enlarged(sr, 240 // max(sr.shape[:2])))
    assert figure.height == (672 if with_hr else 364)
    assert 500 < figure.width < 1400


def test_a_figure_is_the_same_each_time():
    first, second = (comparison_figure(make_comparison(50, 40)) for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_names_of_any_length_and_script_fit_into_the_figure():
    plain = comparison_figure(make_comparison(40, 40))
    for name in ("x" * 300 + ".png", "Übersicht 日本語 \ud800.png", "", "two\nlines.png"):
        assert comparison_figure(make_comparison(40, 40, name=name, model_name=name)).size == plain.size
    umlaut = comparison_figure(make_comparison(40, 40, name="Ä日.png"))
    assert contains(umlaut, text_pixels("A?.png", 18, "#1a1a1a"))


def test_the_region_is_the_most_detailed_one():
    lr = np.full((50, 60, 3), 90, np.uint8)
    lr[31:40, 17:26] = make_photo(9, 9)
    region = most_detailed(lr, 9, 9)
    assert abs(region.top - 31) <= 1
    assert abs(region.left - 17) <= 1
    flat = np.zeros((20, 30, 3), np.uint8)
    assert most_detailed(flat, 8, 40) == Region(0, 0, 8, 30)


def test_the_region_is_that_of_an_exhaustive_search():
    lr = make_photo(23, 31)
    luma = lr.astype(int) @ (2, 5, 1)
    energy = np.zeros_like(luma)
    energy[:, :-1] += np.diff(luma, axis=1) ** 2
    energy[1:] += np.diff(luma, axis=0) ** 2
    sums = np.lib.stride_tricks.sliding_window_view(energy, (5, 8)).sum(axis=(2, 3))
    assert most_detailed(lr, 5, 8)[:2] == np.unravel_index(sums.argmax(), sums.shape)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", ODD_SIZES)
def test_a_part_of_the_bicubic_enlargement_is_that_of_the_whole(scale, size):
    lr = make_photo(80, 250)[:size[0], :size[1]]
    whole = imresize(lr, scale, "replicate")
    for region in (Region(0, 0, 1, 1), Region(size[0] // 2, size[1] // 2, 1, 1), Region(0, 0, *size),
                   Region(size[0] - 1, size[1] // 3, 1, size[1] - size[1] // 3)):
        assert np.array_equal(bicubic(lr, scale, region), region.of(whole, scale))


@pytest.mark.parametrize("band_pixels", [1, 4000, 1 << 20])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_scores_by_bands_are_those_of_the_whole_image(band_pixels, scale):
    comparison = make_comparison(41, 30, scale)
    for rows, sr in ((lambda top, bottom: comparison.sr[top:bottom], comparison.sr),
                     (comparison._bicubic_rows, imresize(comparison.lr, scale, "replicate"))):
        hr, sr = (PROTOCOL.prepare(image, scale) for image in (comparison.hr, sr))
        scores = compare_by_bands(comparison.hr, rows, scale, PROTOCOL, band_pixels)
        assert scores.psnr == pytest.approx(image_psnr(hr, sr), rel=1e-6)
        assert scores.ssim == pytest.approx(image_ssim(hr, sr), rel=1e-9)


def test_scores_of_equal_and_of_tiny_images():
    hr = make_photo(40, 50)
    scores = compare_by_bands(hr, lambda top, bottom: hr[top:bottom], 4, PROTOCOL, 1)
    assert scores == (math.inf, pytest.approx(1))
    assert str(scores) == "inf dB / 1.0000"
    for size, text in ((8, "n/a / n/a"), (18, "inf dB / n/a"), (19, "inf dB / 1.0000")):
        small = hr[:size]
        assert str(compare_by_bands(small, lambda top, bottom, small=small: small[top:bottom], 4, PROTOCOL)) == text


def test_a_huge_image_takes_little_memory():
    lr, sr = (np.broadcast_to(make_photo(8, width)[:1], (height, width, 3))  # one row in memory
              for height, width in ((2000, 3000), (8000, 12000)))
    tracemalloc.start()
    figure = comparison_figure(Comparison(lr, sr, 4, "huge.png", "net"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert figure.width < 1400
    assert peak < 40 * 2**20  # sr alone is 275 MiB


@pytest.mark.slow
def test_labels_are_what_evaluate_finds(test_data):
    hr_path = test_data / "testsets" / "Set5" / "baby.png"
    lr_path = test_data / "testsets" / "LR_bicubic" / "Set5" / "X4" / "baby_LRBI_x4.png"
    super_resolve, lr = SuperResolver(weights.load(ROOT / "pretrained" / "wdsr-b-8-x4.keras")), read_image(lr_path)
    hr = load_hr(find_hr([lr_path], hr_path.parent, 4)[lr_path], lr.shape, 4)
    comparison = Comparison(lr, super_resolve.enlarge(lr), 4, "baby.png", "wdsr-b-8-x4", hr)
    figure = comparison_figure(comparison)
    for name, function in (("bicubic", Bicubic(4, "replicate")), ("sr", super_resolve)):
        row, = measure(function, [Sample("baby", hr_path, lr_path)], PROTOCOL, choose_metrics(["ssim"])).images
        assert comparison.scores[name] == pytest.approx((row["psnr"], row["ssim"]), abs=1e-5)
        assert contains(figure, text_pixels(f"{row['psnr']:.2f} dB / {row['ssim']:.4f}", 16, "#5c5c5c"))
    assert contains(figure, text_pixels("SR: wdsr-b-8-x4", 18, "#1a1a1a"))


def test_originals_are_found_by_name(tmp_path):
    for name in ("baby.PNG", "bird_HR.jpg", "zebra.tif"):
        save_photo(tmp_path / name, make_photo(8, 8))
    lr_paths = [tmp_path / "in" / name for name in ("babyx4.png", "bird_SRF_4_LR.bmp", "other.png")]
    assert find_hr(lr_paths, tmp_path, 4) == {
        lr_paths[0]: tmp_path / "baby.PNG", lr_paths[1]: tmp_path / "bird_HR.jpg"}


def test_of_several_originals_the_one_of_the_same_name_is_taken(tmp_path):
    for name in ("a.png", "a_x2.png", "b.png", "b.jpg"):
        save_photo(tmp_path / name, make_photo(8, 8))
    for name, original in (("a.jpg", "a.png"), ("a_x2.png", "a_x2.png"), ("b.png", "b.png")):
        assert find_hr([tmp_path / "in" / name], tmp_path, 2) == {tmp_path / "in" / name: tmp_path / original}
    with pytest.raises(UserError, match=r"bx2\.webp: fits b\.jpg, b\.png equally well by name: rename or remove"):
        find_hr([tmp_path / "in" / "bx2.webp"], tmp_path, 2)
    with pytest.raises(UserError, match="nowhere: there is no such folder"):
        find_hr([tmp_path / "a.png"], tmp_path / "nowhere", 2)


def test_an_original_is_cropped_by_less_than_the_scale(tmp_path):
    hr = make_photo(24, 27)
    path = save_photo(tmp_path / "hr.png", hr)
    assert np.array_equal(load_hr(path, (6, 6, 3), 4), hr[:, :24])
    assert np.array_equal(load_hr(path, (8, 9, 3), 3), hr)
    for lr_shape, size in (((7, 9, 3), "27 x 21"), ((8, 8, 3), "24 x 24"), ((9, 9, 3), "27 x 27")):
        with pytest.raises(UserError, match=f"hr.png: is 27 x 24, which does not fit .* {size}: .* less than 3 pixels"):
            load_hr(path, lr_shape, 3)
