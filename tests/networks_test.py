"""What holds for every network: sizes, parameter counts, names, saving and loading."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import weights
from model import discriminator, edsr, sr_resnet, vgg_22, vgg_54, wdsr_a, wdsr_b
from tests.conftest import ROOT, make_photo, to_numpy

SMALL = {
    "edsr": lambda scale: edsr(scale, num_filters=4, num_res_blocks=1, res_block_scaling=0.1),
    "edsr-gen": lambda scale: edsr(scale, num_filters=4, num_res_blocks=1, tanh_activation=True),
    "wdsr-a": lambda scale: wdsr_a(scale, num_filters=5, num_res_blocks=1),
    "wdsr-b": lambda scale: wdsr_b(scale, num_filters=5, num_res_blocks=2, res_block_scaling=0.5),
    "wdsr-b-same": lambda scale: wdsr_b(scale, num_filters=5, num_res_blocks=1, padding="same"),
    "sr-resnet": lambda scale: sr_resnet(num_filters=4, num_res_blocks=1),
}


def forward(model, *size):
    lr = make_photo(*size).astype("float32")[None]
    return to_numpy(model(lr, training=False))


@pytest.mark.parametrize(("build", "count"), [
    (lambda: edsr(2, num_res_blocks=16), 1_369_859),
    (lambda: edsr(3, num_res_blocks=16), 1_554_499),
    (lambda: edsr(4, num_res_blocks=16, tanh_activation=True), 1_517_571),
    (lambda: edsr(2, 256, 32, 0.1), 40_729_603),
    (lambda: wdsr_a(2, num_res_blocks=8), 596_380),
    (lambda: wdsr_a(2, num_res_blocks=16), 1_187_484),
    (lambda: wdsr_a(2, num_res_blocks=32), 2_369_692),
    (lambda: wdsr_a(2, num_res_blocks=32, res_block_expansion=6), 3_551_388),
    (lambda: wdsr_a(4, num_res_blocks=32, res_block_expansion=6), 3_564_528),
    (lambda: wdsr_b(2, num_res_blocks=8), 152_420),
    (lambda: wdsr_b(2, num_res_blocks=16), 299_564),
    (lambda: wdsr_b(2, num_res_blocks=32), 593_852),
    (sr_resnet, 1_554_883),
    (discriminator, 23_569_217),
])
def test_parameter_counts_are_the_published_ones(build, count):
    with keras.StatelessScope(initialize_variables=False):  # the shapes alone
        assert build().count_params() == count


def test_trainable_parameter_counts_leave_out_the_moving_statistics():
    for build, count in ((sr_resnet, 1_550_659), (discriminator, 23_565_505)):
        with keras.StatelessScope(initialize_variables=False):
            model = build()
        assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == count


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("name", SMALL)
def test_every_size_is_enlarged_by_the_scale(name, scale):
    if name == "sr-resnet" and scale != 4:
        pytest.skip("SRResNet is a network for scale 4")
    model = SMALL[name](scale)
    assert weights.model_scale(model) == scale
    for height, width in ((1, 1), (1, 7), (2, 1), (9, 5)):
        sr = forward(model, height, width)
        assert sr.shape == (1, height * scale, width * scale, 3)
        assert np.isfinite(sr).all()


@pytest.mark.parametrize("name", SMALL)
def test_a_saved_model_loads_in_safe_mode_with_the_same_output(name, tmp_path):
    model = SMALL[name](4)
    weights.save(model, tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert np.array_equal(forward(loaded, 9, 7), forward(model, 9, 7))
    assert not loaded.compiled


@pytest.mark.slow
def test_importing_model_is_all_that_loading_needs(tmp_path):
    weights.save(SMALL["wdsr-b"](2), tmp_path / "model.keras")
    code = "import sys, keras, model; print(keras.saving.load_model(sys.argv[1]).name)"
    output = subprocess.run([sys.executable, "-c", code, tmp_path / "model.keras"], cwd=ROOT, capture_output=True,
                            text=True)
    assert output.stdout.split() == ["wdsr_b"], output.stderr


@pytest.mark.slow
def test_a_users_keras_settings_do_not_change_the_networks(tmp_path):
    (tmp_path / "keras.json").write_text('{"image_data_format": "channels_first", "floatx": "float16"}')
    code = "import numpy, model; m = model.edsr(2, 4, 1); print(m(numpy.zeros((1, 5, 6, 3))).shape, m.weights[0].dtype)"
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
                            env={**os.environ, "KERAS_HOME": str(tmp_path)})
    assert "float32" in output.stdout, output.stderr
    assert "10, 12, 3" in output.stdout


@pytest.mark.parametrize("name", SMALL)
def test_no_layer_with_weights_has_a_generated_name(name):
    first, second = ([layer.name for layer in SMALL[name](4).layers if layer.weights] for _ in range(2))
    assert first == second  # a generated name counts up
    assert all(any(part in layer for part in ("head", "block", "body", "upsample", "tail", "skip")) for layer in first)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_outputs_of_a_mixed_network_are_float32(policy):
    keras.config.set_dtype_policy(policy)
    try:
        models = [build(4) for build in SMALL.values()] + [discriminator(32)]
    finally:
        keras.config.set_dtype_policy("float32")
    for model in models:
        assert model.output.dtype == "float32"
        assert {weight.dtype for weight in model.weights} == {"float32"}


@pytest.mark.parametrize("builder", [wdsr_a, wdsr_b])
def test_paddings_of_wdsr_differ_at_the_borders_alone(builder):
    models = {padding: builder(3, 5, 1, padding=padding) for padding in ("symmetric", "valid", "same")}
    for model in models.values():
        model.set_weights(models["symmetric"].get_weights())
    sr = {padding: forward(model, 21, 20)[0] for padding, model in models.items()}
    assert sr["valid"].shape == (51, 48, 3)
    assert not np.allclose(sr["same"], sr["symmetric"], atol=1)
    reach = 3 * 5  # the networks see up to 5 LR pixels around
    inside = sr["symmetric"][reach:-reach, reach:-reach]
    assert sr["same"][reach:-reach, reach:-reach] == pytest.approx(inside, abs=1e-3)
    assert sr["valid"][reach - 6:6 - reach, reach - 6:6 - reach] == pytest.approx(inside, abs=1e-3)


def test_wdsr_refuses_an_unknown_padding():
    with pytest.raises(ValueError, match="padding reflect is not supported: choose symmetric, valid, same"):
        wdsr_a(2, padding="reflect")


def test_tanh_output_stays_in_range():
    model = SMALL["edsr-gen"](2)
    model.set_weights([weight * 100 for weight in model.get_weights()])
    sr = forward(model, 8, 8)
    assert sr.min() >= 0
    assert sr.max() <= 255


@pytest.mark.slow
def test_vgg_features_are_those_of_keras_vgg19():
    image = make_photo(32, 48).astype("float32")[None]
    for builder, layer, shape in ((vgg_22, "block2_conv2", (1, 16, 24, 128)), (vgg_54, "block5_conv4", (1, 2, 3, 512))):
        features = builder(weights=None)
        assert not features.trainable_weights
        vgg = keras.applications.VGG19(include_top=False, weights=None)
        vgg.set_weights(features.layers[-1].get_weights() + vgg.get_weights()[len(features.weights):])
        reference = keras.Model(vgg.input, vgg.get_layer(layer).output)
        expected = to_numpy(reference(keras.applications.vgg19.preprocess_input(image.copy())))
        found = to_numpy(features(image))
        assert found.shape == shape
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)
        assert found.min() >= 0  # after the activation


def test_the_discriminator_returns_one_logit_an_image():
    assert to_numpy(discriminator(32)(np.zeros((2, 32, 32, 3), "float32"))).shape == (2, 1)


@pytest.mark.slow
def test_importing_model_loads_no_image_library_and_sets_nothing(tmp_path):
    (tmp_path / "keras.json").write_text('{"image_data_format": "channels_first", "floatx": "float16"}')
    code = ("import sys, keras; before = set(sys.modules); import model; loaded = set(sys.modules) - before; "
            "print(keras.config.image_data_format(), keras.config.floatx(), "
            "sorted({name.split('.')[0] for name in loaded} & {'skimage', 'scipy', 'PIL', 'pyvips'}))")
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
                            env={**os.environ, "KERAS_HOME": str(tmp_path)})
    assert output.stdout.split() == ["channels_first", "float16", "[]"], output.stderr
