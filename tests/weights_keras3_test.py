"""Files of Keras 3 beside .keras: whole models and weights alone of this suite's networks."""

import h5py
import numpy as np
import pytest

import weights
from errors import UserError
from model import edsr, sr_resnet, wdsr_b
from tests.conftest import to_numpy

NETWORKS = {
    "edsr": lambda: edsr(8, 4, 4),
    "wdsr-b": lambda: wdsr_b(4, 5, 2),
    "sr-resnet": lambda: sr_resnet(4, 4, 2),
}


def randomized(build):
    model, rng = build(), np.random.default_rng(0)
    for layer in model.layers:
        layer.set_weights([rng.uniform(0.1, 0.5, array.shape) for array in layer.get_weights()])
    return model


@pytest.mark.parametrize(("name", "suffix"), [("edsr", ".weights.h5"), ("wdsr-b", ".weights.h5"), ("wdsr-b", ".h5"),
                                              ("sr-resnet", ".weights.h5"), ("sr-resnet", ".h5")])
def test_what_keras_3_saved_gives_the_same_output(tmp_path, name, suffix):
    model = randomized(NETWORKS[name])
    (model.save if suffix == ".h5" else model.save_weights)(tmp_path / f"model{suffix}")
    ours, notes = weights.load_foreign(tmp_path / f"model{suffix}")
    lr = np.random.default_rng(1).integers(0, 256, (1, 9, 6, 3)).astype("float32")
    assert np.array_equal(to_numpy(ours(lr)), to_numpy(model(lr)))
    assert f" x{weights.model_scale(model)}" in notes[0]


def test_what_a_whole_model_says_cannot_be_given(tmp_path):
    edsr(2, 4, 1).save(tmp_path / "model.h5")
    with pytest.raises(UserError, match=r"model\.h5: is a whole model, which says itself what --tanh would"):
        weights.load_foreign(tmp_path / "model.h5", tanh=True)


@pytest.mark.parametrize(("edit", "cause"), [
    (lambda file: file["layers/conv2d/vars"].attrs.__setitem__("name", "other"), "are those of no network"),
    (lambda file: file["layers/conv2d/vars"].attrs.__setitem__("name", "tail"), "names tail more than once"),
    (lambda file: file["layers/conv2d/vars"].attrs.__setitem__("name", 3), "is no text"),
    (lambda file: file.pop("layers/conv2d/vars/1"), "tensor conv2d/0 has the shape"),
    (lambda file: file.pop("layers/conv2d"), "are those of no network"),
])
def test_weights_of_another_network_are_refused(tmp_path, edit, cause):
    edsr(2, 4, 1).save_weights(tmp_path / "model.weights.h5")
    with h5py.File(tmp_path / "model.weights.h5", "r+") as file:
        edit(file)
    with pytest.raises(UserError, match=rf"model\.weights\.h5: .*{cause}"):
        weights.load_foreign(tmp_path / "model.weights.h5")


def test_a_whole_model_with_a_class_that_is_not_known_is_refused(tmp_path):
    edsr(2, 4, 1).save(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5", "r+") as file:
        config = file.attrs["model_config"]
        file.attrs["model_config"] = config.replace("super_resolution>PixelShuffle", "other>PixelShuffle")
    with pytest.raises(UserError, match=r"model\.h5: .* of the class other>PixelShuffle"):
        weights.load_foreign(tmp_path / "model.h5")
