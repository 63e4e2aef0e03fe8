import tracemalloc

import numpy as np
import pytest

from imaging import resize
from imaging.image_files import read_image
from imaging.resize import Resizing, downscale, imresize, resize_strips
from tests.conftest import make_photo


def cubic(x):
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def resize_column(column, scale, border):
    """Resizes one column pixel by pixel, straight from the definition."""
    size, result = len(column), []
    shrink = min(scale, 1)
    for i in range(int(np.ceil(size * scale))):
        centre = (i + 0.5) / scale - 0.5
        total = weights = 0.0
        for j in range(int(centre - 3 / shrink) - 2, int(centre + 3 / shrink) + 3):
            weight = cubic((centre - j) * shrink)
            k = min(max(j, 0), size - 1)
            if border == "symmetric":
                k = j % (2 * size)
                k = k if k < size else 2 * size - 1 - k
            total, weights = total + weight * column[k], weights + weight
        result.append(total / weights)
    return result


@pytest.mark.parametrize("border", ["symmetric", "replicate"])
@pytest.mark.parametrize("scale", [1 / 2, 1 / 3, 1 / 4, 2, 3, 4])
@pytest.mark.parametrize("size", [1, 5, 12])
def test_every_pixel_equals_the_definition(size, scale, border):
    image = np.random.default_rng(0).random((size, 4 * size)) * 255
    rows_first = np.array([resize_column(column, scale, border) for column in image.T]).T
    expected = np.array([resize_column(row, scale, border) for row in rows_first])
    assert imresize(image, scale, border) == pytest.approx(expected, abs=1e-9)


def test_uint8_is_rounded_half_up_after_each_pass():
    column = np.array([[0], [1]], np.uint8)  # its mean, 0.5, is rounded to 1 by the first pass
    assert imresize(column, 1 / 2).tolist() == [[1]]
    assert imresize(column.astype(float), 1 / 2) == pytest.approx(0.5)


def test_uint16_is_rounded_half_up_after_each_pass():
    image = make_photo(13, 9)[..., 0].astype(np.uint16) * 257
    for scale in (1 / 2, 3):
        rows = imresize(image.astype(float), scale)[:, :1]  # columns after rows: here the first column alone
        resized = imresize(image, scale)
        assert resized.dtype == np.uint16
        assert np.abs(resized[:, :1] - np.clip(rows, 0, 65535)).max() <= 1
    assert imresize(np.array([[0], [65535]], np.uint16), 1 / 2).tolist() == [[32768]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_part_is_cut_out_of_the_whole(dtype, monkeypatch):
    image = make_photo(31, 22).astype(dtype)
    for scale in (1 / 3, 3, 1.3):
        whole = imresize(image, scale)
        monkeypatch.setattr(resize, "BLOCK_SIZE", 1)
        assert np.array_equal(imresize(image, scale), whole)
        resizing = Resizing(image, scale)
        for rows, columns in ((slice(0, 5), slice(2, 7)), (slice(3, None), slice(6, None))):
            assert np.array_equal(resizing.part(rows, columns), whole[rows, columns])
        monkeypatch.undo()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("num_rows", [1, 4, 100])
def test_strips_of_an_image_become_those_of_the_resized_one(dtype, num_rows):
    image = make_photo(31, 22).astype(dtype)
    for scale in (1 / 40, 1 / 3, 3, 1.3):
        whole = imresize(image, scale)
        for height, width in (whole.shape[:2], (max(1, len(whole) - 2), 1)):
            strips = (image[top:top + num_rows] for top in range(0, len(image), num_rows))
            resized = np.concatenate([*resize_strips(strips, image.shape[:2], scale, (height, width))])
            assert resized.dtype == whole.dtype
            assert np.array_equal(resized, whole[:height, :width])


def test_little_memory_is_taken_beside_the_result():
    image = make_photo(300, 400)
    tracemalloc.start()
    resized = imresize(image, 4)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < resized.nbytes + 5 * 2**20


def test_a_constant_image_stays_constant():
    assert (imresize(np.full((13, 7, 3), 200, np.uint8), 1 / 3) == 200).all()


def test_downscale_crops_to_a_multiple_of_the_scale():
    hr = make_photo(14, 23)
    assert downscale(hr, 4).shape == (3, 5, 3)
    assert (downscale(hr, 4) == downscale(hr[:12, :20], 4)).all()


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", ["Set5", "Set14"])
def test_test_sets_equal_matlab_bit_for_bit(test_data, name, scale):
    hr_paths = sorted((test_data / "testsets" / name).glob("*.png"))
    lr_paths = sorted((test_data / "testsets" / "LR_bicubic" / name / f"X{scale}").glob("*.png"))
    assert len(hr_paths) == len(lr_paths) > 0
    for hr_path, lr_path in zip(hr_paths, lr_paths, strict=True):
        assert np.array_equal(downscale(read_image(hr_path), scale, "replicate"), read_image(lr_path)), hr_path.name


@pytest.mark.parametrize(("subset", "image_id", "scale"), [
    ("train", "0004", 2), ("valid", "0802", 4), ("valid", "0803", 4)])
def test_div2k_equals_matlab_bit_for_bit(test_data, subset, image_id, scale):
    folder = test_data / "DIV2K"
    hr = read_image(folder / f"DIV2K_{subset}_HR" / f"{image_id}.png")
    lr = read_image(folder / f"DIV2K_{subset}_LR_bicubic" / f"X{scale}" / f"{image_id}x{scale}.png")
    assert np.array_equal(downscale(hr, scale), lr)
