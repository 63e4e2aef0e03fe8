import keras
import numpy as np
import pytest

from model import PixelShuffle, SymmetricPadding
from model.common import multiply_pointwise
from tests.conftest import to_numpy


@pytest.mark.parametrize("factor", [2, 3])
def test_pixel_shuffle_orders_channels_row_column_colour(factor):
    x = np.random.default_rng(0).random((2, 3, 5, 3 * factor**2)).astype("float32")
    expected = x.reshape(2, 3, 5, factor, factor, 3).transpose(0, 1, 3, 2, 4, 5).reshape(2, 3 * factor, 5 * factor, 3)
    assert np.array_equal(to_numpy(PixelShuffle(factor)(x)), expected)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 1), (3, 2), (9, 4)])
def test_symmetric_padding_equals_numpy_from_one_pixel_up(size):
    x = np.random.default_rng(0).random((2, *size, 3)).astype("float32")
    padded = to_numpy(SymmetricPadding(2)(x))
    assert np.array_equal(padded[:, 2:-2, 2:-2], x)
    if min(size) > 1:
        assert np.array_equal(padded, np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), "symmetric"))
    else:
        assert np.isin(padded, x).all()


def test_pointwise_convolutions_in_float32_become_products_with_the_same_result():
    model = keras.Sequential([
        keras.Input((None, None, 4)), keras.layers.Conv2D(6, 1, bias_initializer="random_normal", name="product"),
        keras.layers.Conv2D(6, 1, strides=2), keras.layers.Conv2D(4, 1, dtype="mixed_bfloat16"),
        keras.layers.Conv2D(6, 3, dtype="float32")])
    images = np.random.default_rng(0).normal(size=(2, 7, 5, 4)).astype("float32")
    expected = to_numpy(model(images))
    own = [layer.convolution_op for layer in model.layers]
    multiply_pointwise(model)
    assert [layer.convolution_op == before for layer, before in zip(model.layers, own, strict=True)] == [
        False, True, True, True]
    assert to_numpy(model(images)) == pytest.approx(expected, abs=2e-2)
    assert to_numpy(model.layers[0](images)) == pytest.approx(
        images @ to_numpy(model.layers[0].kernel)[0, 0] + to_numpy(model.layers[0].bias), abs=1e-5)
