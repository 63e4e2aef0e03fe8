"""What people who script rely on: images of every kind go in, and come out larger."""


import keras
import numpy as np
import pytest
from PIL import Image

import weights
from errors import UserError
from imaging.image_files import read_image
from imaging.resize import imresize
from imaging.rounding import round_half_up
from model import wdsr_b
from super_resolution import SuperResolver, load
from super_resolution.reach import receptive_radius
from super_resolution.tiles import default_memory
from tests.conftest import make_photo
from tests.golden_cases import NETWORKS, set_weights

SCALE = 3


@pytest.fixture(scope="module")
def super_resolve():
    model = NETWORKS["wdsr-b-x3"]()
    set_weights(model)
    return SuperResolver(model)


@pytest.fixture(scope="module")
def tiled(super_resolve):
    return SuperResolver(super_resolve.model, tile_size=2 * receptive_radius(super_resolve.model) + 5)


def make_image(shape, dtype=np.uint8, seed=0):
    """Returns a smooth image of the shape (H, W[, C]), with all of 16 bits where there are so many."""
    photo = np.dstack([make_photo(*shape[:2], seed=seed), make_photo(*shape[:2], seed=seed + 1)])
    image = photo[..., :shape[2] if len(shape) == 3 else 1].reshape(shape)
    if dtype == np.uint8:
        return image
    return image.astype(dtype) * dtype(256) + make_image(shape, seed=seed + 2)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 1), (9, 7, 2), (1, 1, 3), (9, 7, 3), (2, 9, 4)])
def test_an_array_keeps_its_type_and_channels_and_is_rounded(super_resolve, shape, dtype):
    lr = np.maximum(make_image(shape, dtype), 1)  # nothing is transparent
    sr = super_resolve.enlarge(lr)
    assert sr.dtype == dtype
    assert sr.shape == (shape[0] * SCALE, shape[1] * SCALE, *shape[2:])
    unit = 257 if dtype == np.uint16 else 1
    channels = lr.reshape(*shape[:2], -1)
    rgb = channels[..., :3] if channels.shape[2] > 2 else channels[..., [0, 0, 0]]
    expected = super_resolve(rgb.astype(np.float32) / unit)
    if channels.shape[2] < 3:
        expected = expected @ np.array([[0.299], [0.587], [0.114]], np.float32)
    expected = np.clip(np.floor(expected.astype(float) * unit + 0.5), 0, 255 * unit)
    colours = sr.reshape(*sr.shape[:2], -1)[..., :expected.shape[2]]
    assert np.abs(colours - expected).max() <= 1
    assert (colours == expected).mean() > 0.9


def test_sixteen_bits_give_finer_gradations_than_eight(super_resolve):
    lr = np.add.outer(np.arange(12), np.zeros(11, int))[..., None].repeat(3, 2) * 20 + 30_000  # less than a grey level
    sr = super_resolve.enlarge(lr.astype(np.uint16))
    assert len(np.unique(sr[..., 0])) > 20
    assert sr / 257 == pytest.approx(super_resolve(lr / 257), abs=0.01)


def test_floats_are_neither_rounded_nor_clipped(super_resolve):
    lr = np.random.default_rng(0).integers(2, size=(9, 8, 3)) * 255.0
    sr = super_resolve.enlarge(lr)
    assert sr.dtype == np.float32
    assert np.array_equal(sr, super_resolve(lr))
    assert sr.min() < 0
    assert sr.max() > 255
    whole = super_resolve.enlarge(lr.astype(np.uint8))
    assert np.array_equal(whole, np.clip(np.floor(sr + 0.5), 0, 255))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_resized_by_bicubic_whatever_the_tiles(super_resolve, tiled, channels, dtype):
    lr = make_image((40, 33, channels), dtype)
    for function in (super_resolve, tiled):
        assert np.array_equal(function.enlarge(lr)[..., -1], imresize(lr[..., -1], SCALE))


@pytest.mark.parametrize("channels", [2, 4])
def test_no_hidden_colour_bleeds_into_what_is_visible(super_resolve, tiled, channels):
    lr = make_image((37, 45, channels))
    lr[..., -1] = np.where(make_photo(37, 45, seed=5)[..., 0] > 110, 200, 0)
    hidden = lr[..., -1] == 0
    assert 0.3 < hidden.mean() < 0.7
    images = []
    for colour in (0, 255):
        lr[hidden, :-1] = colour
        images += [super_resolve.enlarge(lr), tiled.enlarge(lr)]
    visible = images[0][..., -1] > 0
    for image in images[1:]:
        difference = np.abs(image[visible].astype(int) - images[0][visible])
        assert difference.max() <= 1
        assert (difference > 0).mean() < 0.001
    assert images[0][~visible, 0].std() > 0  # coloured as what is near, not painted over


def test_an_image_without_a_visible_pixel_keeps_its_colours(super_resolve):
    lr = make_image((6, 7, 4))
    lr[..., 3] = 0
    assert np.array_equal(super_resolve.enlarge(lr)[..., :3], super_resolve.enlarge(lr[..., :3]))


@pytest.mark.parametrize(("mode", "becomes"), [
    ("1", "L"), ("L", "L"), ("LA", "LA"), ("P", "RGB"), ("RGB", "RGB"), ("RGBA", "RGBA"), ("I;16", "I;16")])
def test_a_pil_image_comes_back_as_its_array_does(super_resolve, tiled, mode, becomes):
    if mode == "I;16":
        image = Image.fromarray(make_image((20, 31), np.uint16))
    else:
        image = Image.fromarray(make_image((20, 31, 3 if mode == "P" else 4))).convert(mode)
    image.info["icc_profile"] = b"profile"
    for function in (super_resolve, tiled):
        sr = function.enlarge(image)
        assert sr.mode == becomes
        assert sr.size == (31 * SCALE, 20 * SCALE)
        assert sr.info["icc_profile"] == b"profile"
        assert np.array_equal(np.asarray(sr), function.enlarge(np.asarray(image.convert(becomes))))


@pytest.mark.parametrize(("mode", "colour", "becomes"), [("P", 3, "RGBA"), ("L", 80, "LA"), ("RGB", (9, 9, 9), "RGBA")])
def test_a_transparent_colour_becomes_alpha(super_resolve, mode, colour, becomes):
    image = Image.new(mode, (6, 5), colour)
    image.putpixel((0, 0), 0 if mode != "RGB" else (1, 2, 3))
    image.info["transparency"] = colour
    sr = super_resolve.enlarge(image)
    assert sr.mode == becomes
    assert sr.getchannel("A").getpixel((17, 14)) == 0
    assert sr.getchannel("A").getpixel((0, 0)) == 255


@pytest.mark.parametrize(("image", "parts"), [
    (np.zeros((4, 5, 5), np.uint8), [r"\(4, 5, 5\)", r"\(H, W, 4\)"]),
    (np.zeros(4, np.uint8), [r"\(4,\)", r"\(H, W\)"]),
    (np.zeros((1, 4, 5, 3), np.uint8), [r"\(1, 4, 5, 3\)", r"\(H, W, 3\)"]),
    (np.zeros((4, 5), np.float32), [r"floats of the shape \(4, 5\)", r"RGB, \(H, W, 3\)"]),
    (np.zeros((0, 5, 3), np.uint8), [r"\(0, 5, 3\) has no pixels", "at least 1 x 1"]),
    (np.zeros((4, 5, 3), np.int32), ["int32", "uint8, uint16, or floats"]),
    (np.zeros((4, 5, 3), bool), ["bool", "uint8, uint16, or floats"]),
    (np.full((4, 5, 3), np.nan), ["NaN", r"floats in \[0, 255\]"]),
    (np.full((4, 5, 3), np.inf, np.float32), ["infinite", r"floats in \[0, 255\]"]),
    (Image.new("CMYK", (4, 5)), ["mode CMYK", "1, L, LA, P, RGB, RGBA, I;16"]),
    (Image.new("I", (4, 5)), ["mode I ", "RGBA"]),
    ("photo.png", ["a str is no image", "a NumPy array or a PIL image"]),
])
def test_what_is_no_image_is_refused_with_what_is_allowed(super_resolve, image, parts):
    with pytest.raises(UserError, match=".*".join(parts)):
        super_resolve.enlarge(image)


@pytest.mark.parametrize("self_ensemble", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (37, 45)])
def test_progress_adds_up_to_the_pixels_of_the_image(tiled, size, self_ensemble):
    done = []
    SuperResolver(tiled.model, tiled.tile_size, self_ensemble=self_ensemble).enlarge(make_photo(*size), done.append)
    assert sum(done) == size[0] * size[1]
    assert len(done) >= (8 if self_ensemble else 1 if size == (1, 1) else 4)
    assert all(isinstance(number, int) for number in done)


@pytest.mark.slow
def test_five_lines_enlarge_a_photo(tmp_path):
    Image.fromarray(make_photo(20, 31)).save(tmp_path / "photo.png")
    super_resolve = load("wdsr-b-8-x4")
    super_resolve.enlarge(Image.open(tmp_path / "photo.png")).save(tmp_path / "photo-sr.png")
    assert np.array_equal(read_image(tmp_path / "photo-sr.png"), load().enlarge(make_photo(20, 31)))


@pytest.mark.slow
def test_models_are_loaded_by_name_file_and_scale(tmp_path):
    weights.save(wdsr_b(2, 4, 1), tmp_path / "mine.keras")
    assert load(tmp_path / "mine.keras").scale == 2
    assert load(str(tmp_path / "mine.keras"), 2).scale == 2
    assert load(scale=4).model.get_config() == load("wdsr-b-8-x4").model.get_config()
    assert load().self_ensemble is False
    assert load(self_ensemble=True, tile_size=64).self_ensemble is True
    assert load(tile_size=64).tile_size == 64


def test_foreign_files_are_loaded(test_data):
    super_resolve = load(test_data / "weights" / "keras2_x4" / "wdsr-b-1-x4.h5")
    assert super_resolve.enlarge(make_photo(5, 4)).shape == (20, 16, 3)


def test_wrong_models_scales_and_precisions_are_named(tmp_path):
    weights.save(wdsr_b(2, 4, 1), tmp_path / "mine.keras")
    for arguments, message in (
            (("wdsr-c",), "wdsr-c is none of the shipped models: choose .*wdsr-b-8-x4"),
            ((None, 5), "no shipped model for scale 5: choose .*4"),
            (("wdsr-b-8-x4", 2), r"wdsr-b-8-x4\.keras: is a model for scale 4, not 2"),
            ((tmp_path / "mine.keras", 3), r"mine\.keras: is a model for scale 2, not 3"),
            ((tmp_path / "gone.keras",), r"gone\.keras: there is no such model file"),
            ((tmp_path / "gone.h5",), r"gone\.h5: there is no such file")):
        with pytest.raises(UserError, match=message):
            load(*arguments)
    with pytest.raises(UserError, match="precision int8 is not supported: choose float32 or bfloat16"):
        load(precision="int8")


def test_large_networks_get_more_memory_for_their_tiles():
    assert default_memory(wdsr_b(4)) == 768
    layer = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(1_000_000, 3)])
    assert default_memory(layer) == pytest.approx(16 * 28e6 * 4 / 2**20)


@pytest.mark.parametrize(("dtype", "highest"), [(np.uint8, 255), (np.uint16, 65535)])
def test_numbers_are_rounded_half_up_and_clipped(dtype, highest):
    values = np.array([-3.0, 0.49, 0.5, 1.5, 2.5, highest - 0.4, highest + 9])
    rounded = round_half_up(values, dtype)
    assert rounded.dtype == dtype
    assert rounded.tolist() == [0, 0, 1, 2, 3, highest, highest]
