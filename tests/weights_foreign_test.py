"""Other people's Keras 2 files as models of ours: the same output, and no harm from hostile files."""

import base64
import json
import marshal
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import convert
import weights
from errors import UserError
from imaging.image_files import find_images, read_image, to_uint8
from model import edsr, sr_resnet, wdsr_a, wdsr_b
from super_resolution import SuperResolver
from tests.conftest import assert_one_line_error, make_photo, save_photo, to_numpy
from weights.networks import layer_shapes
from weights.tensors import MAX_ELEMENTS

FIXTURES = Path(__file__).parent / "fixtures"
FILES = [*(f"keras2_x4/{kind}-{blocks}-x4.h5" for kind in ("edsr", "wdsr-a", "wdsr-b") for blocks in (1, 3, 5, 8)),
         "keras2_x4/wdsr-b-8-x4_b.h5", "keras2_x4/wdsr-b-16-x4.h5", "keras2_x4/wdsr-b-32-x4.h5",
         "keras2_x4/wdsr-b-32-x4_weightnorm.h5", "srgan_x4/pre_generator.h5", "srgan_x4/gan_generator.h5"]
NETWORKS = {
    "wdsr-a x2": lambda: wdsr_a(2, 6, 2, padding="same"),
    "wdsr-b x3": lambda: wdsr_b(3, 6, 2, padding="same"),
    "wdsr-b x4": lambda: wdsr_b(4, 6, 1, padding="same"),
    "edsr x2": lambda: edsr(2, 6, 2),
    "edsr x3": lambda: edsr(3, 6, 1),
    "edsr x8": lambda: edsr(8, 6, 2),
    "edsr x4": lambda: edsr(4, 6, 3),
    "sr-resnet x4": lambda: sr_resnet(4, 6, 2),
}
SHORT_NAMES = {1: ("alpha",), 2: ("kernel", "bias"), 4: ("gamma", "beta", "moving_mean", "moving_variance")}


def random_image(height=11, width=7):
    return np.random.default_rng(0).integers(0, 256, (1, height, width, 3)).astype("float32")


def randomized(model):
    """Gives a model random weights, its running variances positive ones."""
    rng = np.random.default_rng(1)
    for weight in model.weights:
        array = rng.normal(scale=0.2, size=weight.shape)
        weight.assign(abs(array) + 0.5 if "variance" in weight.path else array)
    return model


def layer_arrays(model):
    """Returns the layers of a model as a Keras 2 file has them: a list of (layer name, {short name: array})."""
    layers = [layer for layer in model.layers if layer.weights]
    return [(f"layer_{i}", dict(zip(SHORT_NAMES[len(layer.weights)], layer.get_weights(), strict=True)))
            for i, layer in enumerate(layers)]


def with_weight_norm(arrays, gain, direction):
    """Splits each kernel in a direction of another length and a gain, as a weight normalization wrapper does."""
    rng = np.random.default_rng(2)
    wrapped = []
    for name, tensors in arrays:
        kernel = tensors["kernel"]
        length = np.sqrt(np.sum(kernel**2, axis=(0, 1, 2)))
        wrapped.append((name, {gain: length, direction: kernel * rng.uniform(0.5, 3, length.shape),
                               "bias": tensors["bias"], "initialized": np.array(True)}))
    return wrapped


def write_h5(path, arrays):
    """Writes a Keras 2 file of weights and returns its path."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in ("input_1", *(name for name, _ in arrays))]
        file.create_group("input_1").attrs["weight_names"] = []
        for name, tensors in arrays:
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{short}:0".encode() for short in tensors]
            for short, array in tensors.items():
                group[f"{name}/{short}:0"] = array
    return path


@pytest.fixture
def edsr_file(tmp_path):
    """A Keras 2 file of weights of a small EDSR x2."""
    return write_h5(tmp_path / "weights.h5", layer_arrays(edsr(2, 4, 1)))


def test_a_network_for_grey_images_is_refused_as_such(tmp_path):
    arrays = layer_arrays(edsr(2, 4, 1))
    for index, part in ((0, np.s_[:, :, :1]), (-1, np.s_[..., :1])):
        name, tensors = arrays[index]
        arrays[index] = name, {**tensors, "kernel": tensors["kernel"][part]}
    arrays[-1][1]["bias"] = arrays[-1][1]["bias"][:1]
    with pytest.raises(UserError, match=r"weights\.h5: is a network for images of 1 colour"):
        weights.load_foreign(write_h5(tmp_path / "weights.h5", arrays))


@pytest.mark.parametrize("name", [
    name if "-1-" in name or name in FILES[-2:] else pytest.param(name, marks=pytest.mark.slow) for name in FILES])
def test_published_weights_load(test_data, name):
    model, notes = weights.load_foreign(test_data / "weights" / name)
    blocks = 16 if name.startswith("srgan") else int(name.split("-x4")[0].split("-")[-1])
    assert f" x4 of {blocks} block" in notes[0]
    assert model.compute_output_shape((1, 5, 6, 3)) == (1, 20, 24, 3)


@pytest.mark.parametrize(("name", "expected"), [
    pytest.param("srgan_x4/pre_generator.h5", 32.017, marks=pytest.mark.slow),
    pytest.param("keras2_x4/edsr-1-x4.h5", 29.721, marks=pytest.mark.slow),
    pytest.param("keras2_x4/edsr-3-x4.h5", 30.306, marks=pytest.mark.slow)])
def test_published_weights_have_their_psnr_on_set5(test_data, name, expected):
    super_resolve = SuperResolver(weights.load_foreign(test_data / "weights" / name)[0])
    values = []
    for hr_path, lr_path in zip(find_images(test_data / "testsets/Set5"),
                                find_images(test_data / "testsets/LR_bicubic/Set5/X4"), strict=True):
        sr = to_uint8(super_resolve(read_image(lr_path)))
        difference = read_image(hr_path)[:sr.shape[0], :sr.shape[1]].astype(float) - sr
        luma = (difference @ (65.481, 128.553, 24.966) / 255)[4:-4, 4:-4]
        values.append(10 * np.log10(255**2 / np.mean(luma**2)))
    assert np.mean(values) == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_without_a_configuration_become_the_same_network(tmp_path, name):
    model = randomized(NETWORKS[name]())
    ours, notes = weights.load_foreign(write_h5(tmp_path / "weights.h5", layer_arrays(model)))
    lr = random_image()
    assert np.array_equal(to_numpy(ours(lr)), to_numpy(model(lr)))
    assert f"{name} of " in notes[0]


@pytest.mark.parametrize(("gain", "direction"), [("g", "v"), ("g", "kernel"), ("wn_g", "kernel")])
@pytest.mark.parametrize("name", ["wdsr-a x2", "wdsr-b x3"])
def test_weight_normalization_is_folded(tmp_path, name, gain, direction):
    model = randomized(NETWORKS[name]())
    arrays = with_weight_norm(layer_arrays(model), gain, direction)
    ours, notes = weights.load_foreign(write_h5(tmp_path / "weights.h5", arrays))
    lr = random_image()
    assert to_numpy(ours(lr)) == pytest.approx(to_numpy(model(lr)), rel=1e-5, abs=1e-3)
    assert "weight normalization is folded into the kernels" in notes


@pytest.mark.parametrize("name", NETWORKS)
def test_the_table_of_shapes_is_that_of_the_networks(name):
    kind, _, scale = name.partition(" x")
    with keras.StatelessScope(initialize_variables=False):  # the shapes alone
        model = NETWORKS[name]()
    sizes = {"kind": kind, "scale": int(scale), "num_filters": 6, "expansion": 4 if kind == "wdsr-a" else 6,
             "num_res_blocks": len({layer.name.split("_")[1] for layer in model.layers if "block_" in layer.name})}
    shapes = {layer.name: [tuple(weight.shape) for weight in layer.weights] for layer in model.layers if layer.weights}
    assert layer_shapes(**sizes) == shapes


def test_what_a_file_does_not_say_is_assumed_aloud_and_can_be_given(tmp_path):
    model = randomized(wdsr_b(2, 6, 2, res_block_scaling=0.4, padding="symmetric"))
    path = write_h5(tmp_path / "weights.h5", layer_arrays(model))
    _, notes = weights.load_foreign(path)
    assert notes[-1] == ("assumed, since the file does not say it: zero padding (--padding), residual scaling 1 "
                         "(--res-scaling)")
    ours, notes = weights.load_foreign(path, padding="symmetric", res_scaling=0.4)
    lr = random_image()
    assert np.array_equal(to_numpy(ours(lr)), to_numpy(model(lr)))
    assert not [note for note in notes if "assumed" in note]


@pytest.mark.parametrize("tanh", [True, False])
def test_tanh_can_be_given(edsr_file, tanh):
    model, _ = weights.load_foreign(edsr_file, tanh=tanh)
    assert ("tanh" in [layer.name for layer in model.layers]) == tanh


@pytest.mark.parametrize(("name", "option", "value"), [
    ("edsr", "padding", "same"), ("wdsr-b", "tanh", False), ("sr-resnet", "res_scaling", 0.1)])
def test_an_option_of_another_network_is_an_error(name, option, value):
    with pytest.raises(UserError, match=f"is a network of the kind {name}, to which --{option[:3]}.* does not apply"):
        weights.load_foreign(FIXTURES / f"keras2-{name}.h5", **{option: value})


@pytest.mark.parametrize("name", ["wdsr-b", "edsr", "sr-resnet"])
def test_a_whole_keras_2_model_gives_the_output_it_gave_then(name):
    expected = np.load(FIXTURES / "keras2.npz")
    model, notes = weights.load_foreign(FIXTURES / f"keras2-{name}.h5")
    assert to_numpy(model(expected["lr"])) == pytest.approx(expected[name], abs=1e-3)
    assert not [note for note in notes if "assumed" in note]


def test_a_configuration_is_read():
    notes = weights.load_foreign(FIXTURES / "keras2-edsr.h5")[1]
    assert "read from its configuration: tanh True, res scaling 0.3" in notes
    notes = weights.load_foreign(FIXTURES / "keras2-wdsr-b.h5")[1]
    assert "read from its configuration: padding symmetric, res scaling 1" in notes
    assert "its factor 0.7 on the sum behind each block is folded into the kernels" in notes


def edited(tmp_path, name, edit):
    """Copies a whole model with its configuration changed by `edit`, and returns the path."""
    path = tmp_path / f"{name}.h5"
    path.write_bytes((FIXTURES / f"keras2-{name}.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        edit({layer["config"]["name"]: layer for layer in config["config"]["layers"]}, config["config"]["layers"])
        file.attrs["model_config"] = json.dumps(config)
    return path


def hostile_function(canary):
    """Returns the function of a Keras 2 Lambda that writes the file `canary` when it is called."""
    source = f"lambda x: (open({str(canary)!r}, 'w').close(), x)[1]"
    code = eval(source).__code__
    eval(source)(0)
    assert canary.exists()
    canary.unlink()
    return [base64.b64encode(marshal.dumps(code)).decode(), None, None]


def test_the_code_of_a_model_is_not_executed(tmp_path):
    canary = tmp_path / "canary"
    function = hostile_function(canary)

    def edit(layers, _):
        for layer in layers.values():
            if layer["class_name"] == "Lambda":
                layer["config"]["function"][0] = function[0]

    model, _ = weights.load_foreign(edited(tmp_path, "edsr", edit))
    expected = np.load(FIXTURES / "keras2.npz")
    assert to_numpy(model(expected["lr"])) == pytest.approx(expected["edsr"], abs=1e-3)
    assert not canary.exists()


def test_code_in_an_unknown_place_is_refused_and_not_executed(tmp_path):
    canary = tmp_path / "canary"

    def edit(layers, order):
        order.append({"class_name": "Lambda", "name": "evil", "inbound_nodes": [[["conv2d", 0, 0, {}]]],
                      "config": {"name": "evil", "function": hostile_function(canary), "function_type": "lambda"}})
        layers["conv2d_1"]["inbound_nodes"] = [[["evil", 0, 0, {}]]]

    with pytest.raises(UserError, match=r"edsr\.h5: layer evil is a Lambda where .* its code is not read"):
        weights.load_foreign(edited(tmp_path, "edsr", edit))
    assert not canary.exists()


@pytest.mark.parametrize(("edit", "cause"), [
    (lambda layers, _: layers["conv2d_1"]["config"].update(activation="elu"), "conv2d_1 is followed by elu"),
    (lambda layers, _: layers["conv2d_1"]["config"].update(strides=[2, 2]), "conv2d_1 has strides"),
    (lambda layers, _: layers["conv2d"]["config"].update(padding="valid"), "conv2d has the padding valid"),
    (lambda layers, _: layers["add"].update(class_name="Multiply"), "layer add is of the class Multiply"),
    (lambda layers, _: layers["lambda"]["config"].update(function=["", None, [[1, 2, 3]]]), "lambda subtracts"),
    (lambda layers, _: [layers[name]["config"].update(function=["", None, None]) for name in ("lambda_1", "lambda_2")],
     "res scaling cannot be read .* --res-scaling"),
    (lambda layers, _: layers["lambda_1"]["config"].update(function=["", None, [0.5]]), "differ in their residual"),
    (lambda layers, _: layers["lambda_1"]["config"].update(function=["", None, [10**400]]), "cannot be read: Overflow"),
    (lambda layers, _: layers["lambda_1"]["config"].update(name="a\nb"), "configuration is not that of a functional"),
    (lambda layers, _: layers["add"]["inbound_nodes"][0].extend([["lambda", 0, 0, {}]] * 30_000), "20,000 connections"),
    (lambda layers, _: layers["add"].update(extra=json.loads("[" * 100 + "]" * 100)), "more than 64 levels deep"),
    (lambda layers, _: layers["add"].pop("inbound_nodes"), "configuration is not that of a functional"),
    (lambda _, order: order.clear(), "configuration"),
])
def test_a_configuration_of_another_network_is_refused_with_the_layer(tmp_path, edit, cause):
    with pytest.raises(UserError, match=rf"edsr\.h5: .*{cause}"):
        weights.load_foreign(edited(tmp_path, "edsr", edit))


def test_weights_that_fit_no_network_name_the_first_tensor(tmp_path):
    arrays = layer_arrays(wdsr_b(2, 6, 2))
    for index, shape, cause in ((2, (1, 1, 36, 5), r"layer_2/kernel:0 has the shape \(1, 1, 36, 5\).*\(1, 1, 36, 4\)"),
                                (0, (3, 3, 3, 7), "layer_1/kernel:0 has 36 filters, which is no multiple of the 7")):
        changed = [*arrays]
        changed[index] = (arrays[index][0], {**arrays[index][1], "kernel": np.zeros(shape, "float32")})
        with pytest.raises(UserError, match=rf"weights\.h5: tensor {cause}"):
            weights.load_foreign(write_h5(tmp_path / "weights.h5", changed))
    with pytest.raises(UserError, match=r"tensor layer_4/kernel:0 .*\(1, 1, 6, 36\).*\(3, 3, 4, 6\)"):
        weights.load_foreign(write_h5(tmp_path / "weights.h5", arrays[:3] + arrays[4:]))
    with pytest.raises(UserError, match=r"tensor dense/w:0 .* neither a convolution"):
        weights.load_foreign(write_h5(tmp_path / "weights.h5", [("dense", {"w": np.zeros((3, 4), "float32")})]))


def replace(path, name, make):
    """Replaces the object `name` of a file by what `make(file, name)` puts there."""
    with h5py.File(path, "r+") as file:
        del file[name]
        make(file, name)


@pytest.mark.parametrize(("make", "cause"), [
    (lambda file, name: file.__setitem__(name, h5py.ExternalLink("other.h5", "/x")), "is a link to other.h5"),
    (lambda file, name: file.__setitem__(name, h5py.SoftLink("/layer_1/layer_1/kernel:0")), "is a link to /layer_1"),
    (lambda file, name: file.create_dataset(name, (3, 3, 3, 4), "f4", external=[("/etc/passwd", 0, 432)]),
     "lies in other files"),
    (lambda file, name: file.create_virtual_dataset(name, h5py.VirtualLayout((3, 3, 3, 4), "f4")),
     "lies in other files"),
    (lambda file, name: file.create_dataset(name, (2,), h5py.string_dtype()), "is of the type object"),
    (lambda file, name: file.create_dataset(name, (40000, 40000), "f4", compression="gzip"),
     r"claims the shape \(40000, 40000\), 6,400,000,000 bytes: far more"),
    (lambda file, name: file.create_dataset(name, data=np.zeros((3, 3, 3, 4), "f4"), compression="gzip"),
     "is compressed"),
    (lambda file, name: file.create_dataset(name, (3, 3, 3, MAX_ELEMENTS // 30), "f4", chunks=(3, 3, 3, 4)),
     "which the file does not hold"),
    (lambda file, name: file.create_dataset(name, data=np.full((3, 3, 3, 4), np.nan, "f4")), "are not finite"),
    (lambda file, name: file.create_group(name), "is no array"),
    (lambda file, name: None, "has no layer_0/kernel:0"),
])
def test_a_hostile_tensor_is_refused_with_the_cause(edsr_file, make, cause):
    replace(edsr_file, "layer_0/layer_0/kernel:0", make)
    with pytest.raises(UserError, match=rf"weights\.h5: .*{cause}"):
        weights.load_foreign(edsr_file)


def test_a_damaged_or_foreign_file_is_refused_with_the_cause(tmp_path, edsr_file):
    whole = (FIXTURES / "keras2-edsr.h5").read_bytes()
    for name, content, cause in (("text.h5", b"no model", "is no HDF5 file"), ("empty.hdf5", b"", "is no HDF5 file"),
                                 ("cut.h5", whole[:-5000], "cannot be read as HDF5, it may be damaged: .*truncated"),
                                 ("model.onnx", b"", "is none of the files of weights that can be read")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=f"{tmp_path / name}: {cause}"):
            weights.load_foreign(tmp_path / name)
    with pytest.raises(UserError, match="there is no such file"):
        weights.load_foreign(tmp_path / "gone.h5")
    with h5py.File(edsr_file, "r+") as file:
        del file.attrs["layer_names"]
    with pytest.raises(UserError, match="is no Keras 2 file: / has no attribute layer_names"):
        weights.load_foreign(edsr_file)


@pytest.mark.parametrize("length", [9, 100, 2000, 10_000, 30_000, 50_000, -1])
def test_a_file_cut_at_any_length_is_refused(tmp_path, length):
    path = tmp_path / "cut.h5"
    path.write_bytes((FIXTURES / "keras2-edsr.h5").read_bytes()[:length])
    with pytest.raises(UserError, match=f"{path}: .*damaged"):
        weights.load_foreign(path)


def test_loading_any_model_prints_its_notes(edsr_file, capsys):
    assert isinstance(weights.load(edsr_file), keras.Model)
    assert f"{edsr_file}: an edsr x2 of 1 block and 4 filters" in capsys.readouterr().out


def test_converted_weights_load_as_a_model(run_main, tmp_path):
    out_path = tmp_path / "out" / "model.keras"
    code, out, _ = run_main(convert, "-i", FIXTURES / "keras2-edsr.h5", "-o", out_path, "weights")
    assert code == 0
    assert "an edsr x3 of 2 blocks and 4 filters" in out
    expected = np.load(FIXTURES / "keras2.npz")
    assert to_numpy(weights.load(out_path)(expected["lr"])) == pytest.approx(expected["edsr"], abs=1e-3)


def test_the_options_of_convert_reach_the_model(run_main, edsr_file, tmp_path):
    out_path = tmp_path / "model.keras"
    run_main(convert, "weights", "-i", edsr_file, "-o", out_path, "--tanh", "--res-scaling", 0.25)
    model = weights.load(out_path)
    assert model.get_layer("tanh")
    assert model.get_layer("block_1_scaling").scale == 0.25


def test_convert_names_a_missing_file_and_a_wrong_output(run_main, edsr_file, tmp_path):
    result = run_main(convert, "weights", "-i", tmp_path / "gone.h5", "-o", tmp_path / "model.keras")
    assert_one_line_error(result, tmp_path / "gone.h5", "there is no such file")
    result = run_main(convert, "weights", "-i", edsr_file, "-o", tmp_path / "model.h5")
    assert_one_line_error(result, tmp_path / "model.h5", "ends in .keras")
    for argv in (["numpy", "-i", "A", "-o", "B", "--tanh"], ["weights", "-i", "A", "B", "-o", "C"],
                 ["weights", "-i", "A", "-o", "B", "--num-workers", "2"]):
        with pytest.raises(SystemExit):
            convert.parse_args(argv)


def test_evaluate_and_demo_take_foreign_files(run_main, edsr_file, tmp_path):
    import demo
    import evaluate

    save_photo(tmp_path / "in" / "a.png", make_photo(24, 20))
    code, out, _ = run_main(evaluate, "--images", tmp_path / "in", "-i", edsr_file, "-o", tmp_path / "eval.json")
    assert code == 0
    assert "assumed, since the file does not say it" in out
    assert "Best PSNR = " in out
    code, out, _ = run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "--model", edsr_file)
    assert code == 0
    assert "assumed, since the file does not say it" in out
    assert (tmp_path / "out" / "a-sr.png").exists()


@pytest.mark.parametrize(("byte", "value"), [(8, 109), (9, 64), (9, 157), (31, 1)])
def test_a_damaged_heap_is_refused_before_the_hdf5_library_loops_in_it(tmp_path, byte, value):
    content = bytearray((FIXTURES / "keras2-edsr.h5").read_bytes())
    heap = content.rindex(b"GCOL")
    content[heap + byte] = value
    (tmp_path / "model.h5").write_bytes(content)
    with pytest.raises(UserError, match=rf"model\.h5: is damaged: its heap at byte {heap} does not end"):
        weights.load_foreign(tmp_path / "model.h5")
