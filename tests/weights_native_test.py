import keras
import numpy as np
import pytest

import weights
from errors import UserError
from model import edsr, sr_resnet, wdsr_b
from weights.native import load_native

SIZES = {"num_filters": 6, "num_res_blocks": 2}


def test_a_missing_or_foreign_file_is_named(tmp_path):
    (tmp_path / "text.keras").write_text("no model")
    (tmp_path / "model.h5").write_text("")
    for name, cause in (("gone.keras", "there is no such model file"), ("model.h5", r"not a \.keras file"),
                        ("text.keras", "cannot be loaded as a Keras model")):
        with pytest.raises(UserError, match=f"{tmp_path / name}: {cause}"):
            load_native(tmp_path / name)


def test_a_truncated_model_is_named(tmp_path):
    path = tmp_path / "model.keras"
    weights.save(wdsr_b(2, **SIZES), path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match=f"{path}: cannot be loaded as a Keras model"):
        load_native(path)


def test_a_model_with_code_in_it_is_refused_and_not_run(tmp_path):
    canary = tmp_path / "canary"
    path = str(canary)
    lr = keras.Input((None, None, 3))
    hostile = keras.layers.Lambda(lambda x: (open(path, "w").close(), x)[1])
    keras.Model(lr, hostile(lr)).save(tmp_path / "hostile.keras")
    canary.unlink(missing_ok=True)
    with pytest.raises(UserError, match=r"hostile\.keras: cannot be loaded as a Keras model: .*[Ll]ambda"):
        load_native(tmp_path / "hostile.keras")
    assert not canary.exists()


@pytest.mark.parametrize("build", [
    lambda: keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(3, 3, padding="same")]),
    lambda: keras.Sequential([keras.Input((None, None, 3)), keras.layers.UpSampling2D((2, 4))]),
    lambda: keras.Sequential([keras.Input((7,)), keras.layers.Dense(3)]),
])
def test_a_network_that_does_not_enlarge_images_is_refused(tmp_path, build):
    build().save(tmp_path / "other.keras")
    with pytest.raises(UserError, match=r"other\.keras: (is no super-resolution network|does not take RGB images)"):
        load_native(tmp_path / "other.keras")


def test_weights_are_copied_by_name_where_the_shapes_fit():
    source, target = wdsr_b(2, **SIZES), wdsr_b(4, **SIZES)
    copied, skipped = weights.copy(source, target)
    assert skipped == ["tail", "skip"]
    assert len(copied) == 7
    for name in copied:
        layers = (target.get_layer(name), source.get_layer(name))
        for ours, theirs in zip(*(layer.get_weights() for layer in layers), strict=True):
            assert np.array_equal(ours, theirs)


def test_edsr_hands_on_its_first_upsampling():
    copied, skipped = weights.copy(edsr(2, **SIZES), edsr(4, **SIZES))
    assert "upsample_1" in copied
    assert skipped == ["upsample_2"]


def test_copying_nothing_is_an_error():
    with pytest.raises(UserError, match="nothing can be copied from sr_resnet to wdsr_b"):
        weights.copy(sr_resnet(num_filters=7, num_res_blocks=1), wdsr_b(2, num_filters=6))
