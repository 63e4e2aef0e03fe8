import keras
import numpy as np
import pytest

from model import wdsr_b
from super_resolution import SuperResolver
from tests.conftest import make_photo


@pytest.fixture(scope="module")
def super_resolve():
    return SuperResolver(wdsr_b(3, num_filters=4, num_res_blocks=1))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (8, 5)])
def test_an_image_of_any_size_is_enlarged_as_predict_does(super_resolve, size):
    lr = make_photo(*size)
    sr = super_resolve(lr)
    assert sr.dtype == np.float32
    assert sr.shape == (size[0] * 3, size[1] * 3, 3)
    assert sr == pytest.approx(super_resolve.model.predict(lr[None].astype("float32"), verbose=0)[0], abs=1e-3)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="counts TensorFlow's graphs")
def test_no_size_is_compiled_anew(super_resolve):
    for size in range(4, 9):
        super_resolve(make_photo(size, size + 1))
    assert super_resolve._forward.experimental_get_tracing_count() == 1
