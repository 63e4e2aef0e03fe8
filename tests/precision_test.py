import keras
import numpy as np
import pytest

from evaluation import image_psnr
from imaging.image_files import read_image
from super_resolution import SuperResolver, load
from super_resolution.precision import mixed_bfloat16
from tests.conftest import ROOT, make_photo
from tests.golden_cases import NETWORKS, set_weights


@pytest.mark.parametrize(("name", "in_float32"), [
    ("edsr-x2", {"lr", "normalize", "denormalize"}),
    ("edsr-gen-x4", {"lr", "normalize", "tanh", "denormalize"}),
    ("wdsr-b-x3", {"lr", "symmetric_padding", "normalize", "tail_shuffle", "skip_shuffle", "add", "denormalize"}),
    ("sr-resnet-x4", {"lr", "normalize", "tanh", "denormalize"}),
])
def test_what_touches_images_stays_float32_and_the_rest_does_not(name, in_float32):
    model = NETWORKS[name]()
    mixed = mixed_bfloat16(model)
    assert {layer.name for layer in mixed.layers if layer.compute_dtype == "float32"} == in_float32
    assert {layer.dtype_policy.name for layer in mixed.layers if layer.name not in in_float32} == {"mixed_bfloat16"}
    assert {weight.dtype for weight in mixed.weights} == {"float32"}
    assert mixed.output.dtype == "float32"
    for ours, theirs in zip(mixed.get_weights(), model.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}


@pytest.mark.parametrize("name", [
    name if name in ("wdsr-b-x3", "edsr-x2") else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS])
def test_bfloat16_is_close_to_float32_whole_and_in_tiles(name):
    model = NETWORKS[name]()
    set_weights(model)
    lr = make_photo(33, 47)
    exact = SuperResolver(model).enlarge(lr).astype(float)
    mixed = mixed_bfloat16(model)
    for options in ({}, {"memory": 1e-3}):
        sr = SuperResolver(mixed, **options).enlarge(lr)
        assert image_psnr(exact, sr.astype(float)) > 40
        assert not np.array_equal(sr, exact)


@pytest.mark.slow
def test_the_shipped_model_stays_within_a_grey_level_in_bfloat16():
    lr = read_image(ROOT / "demo" / "0829x4-crop.png")[:60, :80]
    exact, mixed = (load(precision=precision).enlarge(lr).astype(float) for precision in ("float32", "bfloat16"))
    assert image_psnr(exact, mixed) > 53
    assert np.abs(exact - mixed).max() <= 4
    assert (np.abs(exact - mixed) <= 1).mean() > 0.99


@pytest.mark.slow
def test_other_peoples_weights_are_computed_in_bfloat16(test_data):
    path = test_data / "weights" / "keras2_x4" / "edsr-3-x4.h5"
    lr = read_image(ROOT / "demo" / "0829x4-crop.png")[:40, :50]
    exact, mixed = (load(path, precision=precision).enlarge(lr).astype(float) for precision in ("float32", "bfloat16"))
    assert image_psnr(exact, mixed) > 50


def test_a_network_without_names_of_ours_is_computed_in_bfloat16():
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Rescaling(1 / 255),
                              keras.layers.Conv2D(4, 3, padding="same"), keras.layers.ReLU(),
                              keras.layers.Conv2D(3, 3, padding="same"), keras.layers.UpSampling2D(2)])
    assert [layer.compute_dtype for layer in mixed_bfloat16(model).layers] == [  # the first is the input
        "float32", "float32", "bfloat16", "bfloat16", "bfloat16", "float32"]
