import keras
import numpy as np
import pytest
from PIL import Image

import pretrained
import weights
from errors import UserError
from model import edsr, sr_resnet, wdsr_b
from tests.conftest import ROOT
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
    copied, skipped, blocks = weights.copy(source, target)
    assert skipped == ["tail", "skip"]
    assert blocks is None
    assert len(copied) == 7
    for name in copied:
        layers = (target.get_layer(name), source.get_layer(name))
        for ours, theirs in zip(*(layer.get_weights() for layer in layers), strict=True):
            assert np.array_equal(ours, theirs)


def test_edsr_hands_on_its_first_upsampling():
    copied, skipped, _ = weights.copy(edsr(2, **SIZES), edsr(4, **SIZES))
    assert "upsample_1" in copied
    assert skipped == ["upsample_2"]


@pytest.mark.parametrize(("network", "last"), [(wdsr_b, "conv"), (edsr, "conv_2")])
def test_blocks_stand_several_times_in_a_deeper_network_and_add_as_much(network, last):
    source, target = (network(2, num_filters=8, num_res_blocks=number) for number in (2, 5))
    for layer in source.layers:  # the random ones have no biases
        layer.set_weights([array + 0.1 * (array.ndim == 1) for array in layer.get_weights()])
    copied, skipped, blocks = weights.copy(source, target)
    assert (len(copied), skipped, blocks) == (len([layer for layer in target.layers if layer.weights]), [], (2, 5))
    kernels = []
    for number, origin, times in ((1, 1, 3), (2, 1, 3), (3, 1, 3), (4, 2, 2), (5, 2, 2)):
        kernel, bias = target.get_layer(f"block_{number}_{last}").get_weights()
        one_kernel, one_bias = source.get_layer(f"block_{origin}_{last}").get_weights()
        assert bias == pytest.approx(one_bias / times)
        assert kernel == pytest.approx(one_kernel / times, rel=0.6)
        assert (kernel * times / one_kernel).std() == pytest.approx(0.1, rel=0.2)
        kernels.append(kernel)
    assert not np.array_equal(kernels[0], kernels[1])


def test_a_block_that_stands_once_in_a_deeper_network_is_as_it_was():
    source, target = (wdsr_b(2, num_filters=8, num_res_blocks=number) for number in (2, 3))
    weights.copy(source, target)
    for part in ("expand", "reduce", "conv"):
        ours = target.get_layer(f"block_3_{part}").get_weights()
        theirs = source.get_layer(f"block_2_{part}").get_weights()
        assert all(np.array_equal(*pair) for pair in zip(ours, theirs, strict=True))


def test_blocks_of_another_size_stand_for_none():
    source, target = wdsr_b(2, num_filters=8, num_res_blocks=1), wdsr_b(2, num_filters=6, num_res_blocks=2)
    copied, _, blocks = weights.copy(source, target)
    assert copied == ["skip"]
    assert blocks is None


def test_a_deeper_network_begins_near_the_one_whose_blocks_it_has():
    source, target = weights.load(pretrained.path_of("wdsr-b-8-x2")), wdsr_b(2, num_res_blocks=20)
    weights.copy(source, target)
    by_random_blocks = wdsr_b(2, num_res_blocks=20)
    for layer in source.layers:
        by_random_blocks.get_layer(layer.name).set_weights(layer.get_weights())
    with Image.open(ROOT / "demo" / "nuthatch.jpg") as image:
        lr = np.asarray(image.convert("RGB").crop((100, 100, 140, 140)), "float32")[None]
    apart, apart_by_random_blocks = (np.abs(keras.ops.convert_to_numpy(network(lr) - source(lr))).mean()
                                     for network in (target, by_random_blocks))
    assert apart < apart_by_random_blocks / 5
    assert apart < 3


def test_the_blocks_of_a_network_that_does_not_end_them_in_convolutions_stand_for_themselves():
    source, target = (sr_resnet(num_filters=4, num_res_blocks=number) for number in (1, 2))
    _, skipped, blocks = weights.copy(source, target)
    assert blocks is None
    assert skipped == ["block_2_conv_1", "block_2_bn_1", "block_2_prelu", "block_2_conv_2", "block_2_bn_2"]


def test_copying_nothing_is_an_error():
    with pytest.raises(UserError, match="nothing can be copied from sr_resnet to wdsr_b"):
        weights.copy(sr_resnet(num_filters=7, num_res_blocks=1), wdsr_b(2, num_filters=6))
