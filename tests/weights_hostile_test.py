"""Model files from anybody: nothing in them is called, and each fault is one line that names the file."""

import io
import json
import re
import struct
import sys
import time
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import layers

import weights
import weights.hdf5
from model import (
    BilinearEnlarging,
    ColourKeeping,
    CropToImage,
    PixelShuffle,
    PixelUnshuffle,
    SymmetricPadding,
    edsr,
    edsr_gen,
    rrdb,
    sr_resnet,
    wdsr_a,
    wdsr_b,
)
from super_resolution.reach import receptive_radius
from tests.conftest import ROOT, to_numpy
from tests.hostile_models import (
    CONFIG,
    FUNCTION,
    OBJECT,
    WEIGHTS,
    mutate_bytes,
    mutate_config,
    nested,
    parts,
    refusal,
    with_config,
    with_weights,
    write_parts,
)
from weights.blueprint import read_blueprint
from weights.layer_classes import CLASSES
from weights.plain_json import parse_json

FIXTURES = Path(__file__).parent / "fixtures"
SECONDS = 30  # of a machine under load; what these files are made for never ends, or takes minutes


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A small sound model file."""
    path = tmp_path_factory.mktemp("sound") / "model.keras"
    weights.save(edsr(2, num_filters=4, num_res_blocks=1), path)
    return path


def every_class():
    """A network with every class of layers that may be loaded."""
    lr = keras.Input((None, None, 3))
    x = layers.Conv2D(12, (3, 5), padding="valid", dilation_rate=2, activation="relu")(SymmetricPadding(5)(lr))
    x = SymmetricPadding(2)(layers.Conv2D(12, (5, 1), use_bias=False)(x))
    x = layers.Conv2D(12, 7, kernel_initializer="he_normal")(x)
    branches = [layers.ReLU(max_value=6, negative_slope=0.1)(x), layers.LeakyReLU(0.2)(x), layers.Dropout(0.5)(x),
                layers.PReLU(alpha_initializer=keras.initializers.Constant(0.25), shared_axes=[1, 2])(x),
                layers.BatchNormalization(scale=False)(layers.BatchNormalization(momentum=0.8, epsilon=0.1)(x))]
    x = layers.Concatenate()([layers.Add()(branches), layers.Average()(branches[:2])])
    x = layers.Multiply()([x, layers.Activation("sigmoid")(layers.Conv2D(1, 1)(x))])
    x = layers.Subtract()([x, layers.Rescaling(0.5, [0.1] * 24, trainable=False)(x)])
    sr = layers.Rescaling(0.1, -1)(PixelShuffle(2)(layers.Conv2D(12, 1, name="last")(x)))
    coarse = layers.UpSampling2D(4)(layers.Conv2D(3, 1)(PixelUnshuffle(2)(lr)))
    sr = layers.Add()([sr, CropToImage(2)([coarse, lr]), BilinearEnlarging(2)(lr)])
    return keras.Model(lr, ColourKeeping(2)([sr, lr]))


def mixed():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        return edsr(2, 4, 1)
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("build", [
    every_class, mixed, *(pytest.param(build, marks=pytest.mark.slow) for build in (
        lambda: wdsr_a(3, 4, 2, res_block_scaling=0.5), lambda: wdsr_b(2, 5, 2, padding="same"),
        lambda: wdsr_b(4, 5, 1), lambda: edsr(4, 4, 2, res_block_scaling=0.1), lambda: edsr_gen(3, 4, 1),
        lambda: sr_resnet(4, 4, 2)))])
def test_a_model_is_loaded_as_keras_loads_it(tmp_path, build):
    model = build()
    rng = np.random.default_rng(0)
    for layer in model.layers:
        layer.set_weights([rng.uniform(0.1, 0.9, array.shape) for array in layer.get_weights()])
    model.save(tmp_path / "model.keras")
    ours, theirs = weights.load(tmp_path / "model.keras"), keras.saving.load_model(tmp_path / "model.keras")
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert ours.name == theirs.name
    lr = rng.integers(0, 256, (1, 9, 14, 3)).astype("float32")
    assert np.array_equal(to_numpy(ours(lr)), to_numpy(theirs(lr)))


def test_every_class_that_may_be_loaded_can_be_applied_in_tiles():
    model = every_class()
    assert {type(layer).__name__ for layer in model.layers} == {"InputLayer", *CLASSES}
    assert receptive_radius(model) > 0


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((ROOT / "pretrained").glob("*.keras")), ids=lambda path: path.stem)
def test_a_shipped_model_is_loaded(path):
    assert refusal(weights.load, path) is None


def as_lambda(layer):
    layer.update(class_name="Lambda", module="keras.layers", registered_name=None)
    layer["config"] = {"name": layer["name"], "function": FUNCTION, "arguments": {}}


def merge(layer, key, value):
    layer["config"][key] = value


CALLS = {
    "a Lambda that names a function": lambda _, named: as_lambda(named["block_1_relu"]),
    "an activation": lambda _, named: merge(named["head"], "activation", FUNCTION),
    "an activation that is a layer": lambda _, named: merge(named["head"], "activation", OBJECT),
    "an initializer": lambda _, named: merge(named["head"], "kernel_initializer", FUNCTION),
    "an initializer's argument": lambda _, named: named["head"]["config"]["kernel_initializer"]["config"].update(
        seed=FUNCTION),
    "a regularizer": lambda _, named: merge(named["head"], "kernel_regularizer", FUNCTION),
    "a constraint": lambda _, named: merge(named["head"], "bias_constraint", OBJECT),
    "a dtype": lambda _, named: merge(named["head"], "dtype", OBJECT),
    "a number": lambda _, named: merge(named["normalize"], "scale", FUNCTION),
    "an unknown setting": lambda _, named: merge(named["block_1_relu"], "extra", OBJECT),
    "a layer": lambda _, named: named["block_1_relu"].update(OBJECT),
    "a SavedModel": lambda _, named: named["block_1_relu"].update(class_name="TFSMLayer"),
    "the model": lambda config, _: config.update(OBJECT),
    "an argument of a call": lambda _, named: named["head"]["inbound_nodes"][0].update(kwargs={"training": OBJECT}),
    "the input": lambda config, _: config["config"]["layers"][0].update(OBJECT),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_a_file_names_is_not_called(sound, tmp_path, name):
    path = with_config(sound, tmp_path / "hostile.keras", CALLS[name])
    assert "cannot be loaded as a Keras model: " in refusal(weights.load, path)


def test_what_is_not_needed_is_not_even_read(sound, tmp_path):
    def edit(config, named):
        config["build_config"] = config["compile_config"] = named["head"]["build_config"] = OBJECT

    assert refusal(weights.load, with_config(sound, tmp_path / "model.keras", edit)) is None


FAULTS = {
    "PixelShuffle factor 0": (lambda _, named: merge(named["upsample_1_shuffle"], "factor", 0), "the factor 0"),
    "PixelShuffle factor that does not divide": (
        lambda _, named: merge(named["upsample_1_shuffle"], "factor", 3), "cannot be shared out"),
    "huge filters": (lambda _, named: merge(named["head"], "filters", 10**9), "from 1 to 8192"),
    "filters that do not fit what follows": (
        lambda _, named: merge(named["tail"], "filters", 8000), "3 values of offset for 8000"),
    "other filters than the weights have": (
        lambda _, named: merge(named["block_1_conv_1"], "filters", 8000), r"needs weights of the shapes \(3, 3, 4, 80"),
    "filters that are true": (lambda _, named: merge(named["head"], "filters", True), "filters true"),
    "a setting that is missing": (lambda _, named: named["head"]["config"].pop("strides"), "strides missing"),
    "strides": (lambda _, named: merge(named["head"], "strides", [2, 2]), r"strides \[2, 2\]"),
    "groups": (lambda _, named: merge(named["head"], "groups", 3), "groups 3"),
    "kernel size": (lambda _, named: merge(named["head"], "kernel_size", [3, 10**6]), "kernel_size"),
    "dilation": (lambda _, named: merge(named["head"], "dilation_rate", [10**6, 1]), "dilation_rate"),
    "a name twice": (lambda _, named: (named["tail"].update(name="head"), merge(named["tail"], "name", "head")),
                     "more than one layer head"),
    "an odd name": (lambda _, named: (named["tail"].update(name="a\n/b"), merge(named["tail"], "name", "a\n/b")),
                    r"the name of its layer a\\n/b"),
    "a circle": (lambda _, named: named["head"].update(inbound_nodes=named["tail"]["inbound_nodes"]), "before it"),
    "a layer used twice": (lambda _, named: named["head"]["inbound_nodes"].append(named["head"]["inbound_nodes"][0]),
                           "once, to layers before it"),
    "two outputs": (lambda config, _: config["config"].update(output_layers=[["head", 0, 0], ["tail", 0, 0]]),
                    "one was expected"),
    "an output in the middle": (lambda config, _: config["config"].update(output_layers=["head", 0, 0]),
                                "output layers are head"),
    "an input of a fixed size": (
        lambda config, _: merge(config["config"]["layers"][0], "batch_shape", [None, 48, 48, 3]), "RGB images of any"),
    "an input of another rank": (
        lambda config, _: merge(config["config"]["layers"][0], "batch_shape", [None, 3]), "RGB images of any size"),
    "a second input": (lambda config, _: config["config"]["layers"].insert(1, json.loads(
        json.dumps(config["config"]["layers"][0]).replace('"lr"', '"other"'))), "a second input"),
    "a Resizing": (lambda _, named: named["tail"].update(class_name="Resizing"), "class Resizing"),
    "a Sequential inside": (lambda _, named: named["tail"].update(class_name="Sequential"), "class Sequential"),
    "no layers": (lambda config, _: config["config"].update(layers=[]), "no layers"),
    "too many layers": (lambda config, _: config["config"]["layers"].extend([{}] * 5000), "more than 2,000"),
    "a layer that leads to nothing": (
        lambda _, named: named["body_end"].update(inbound_nodes=named["block_1_conv_1"]["inbound_nodes"]),
        "the output of its layer block_1_add is not used"),
    "another package's Conv2D": (lambda _, named: named["head"].update(registered_name="mine>Conv2D"), "mine>Conv2D"),
    "a class of no package": (lambda _, named: named["upsample_1_shuffle"].pop("registered_name"),
                              "is of the class null, not "),
    "a policy of dtypes": (lambda _, named: merge(named["head"], "dtype", "int8"), "dtype int8"),
    "a number that is not finite": (lambda _, named: merge(named["normalize"], "scale", float("nan")), "no number of"),
    "renormalization": (lambda _, named: merge(named["head"], "renorm", True), "renorm true"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_configuration_is_one_line_that_names_it(sound, tmp_path, name):
    edit, cause = FAULTS[name]
    text = refusal(weights.load, with_config(sound, tmp_path / "odd.keras", edit))
    assert text is not None
    assert re.search(cause, text), text


SHUFFLING_FAULTS = {
    "no crop": (lambda config, _: (config["config"]["layers"].pop(), config["config"].update(
        output_layers=["denormalize", 0, 0])), "is not cropped to the size of the image"),
    "a crop to another scale": (lambda _, named: merge(named["crop"], "scale", 1), "not 1 times as large"),
    "a coarser grid": (lambda _, named: merge(named["unshuffle"], "factor", 8), "2 or 4 was expected"),
    "an enlargement by 99": (lambda _, named: merge(named["upsample_1_nearest"], "size", [99, 99]), "the size"),
    "other interpolation": (
        lambda _, named: merge(named["upsample_1_nearest"], "interpolation", "bilinear"), "nearest was expected"),
    "a grid of features": (lambda _, named: named["unshuffle"]["inbound_nodes"][0]["args"][0]["config"].update(
        keras_history=["upsample_1_nearest", 0, 0]), "does not stand before it"),
}


@pytest.mark.parametrize("name", SHUFFLING_FAULTS)
def test_a_fault_of_a_network_that_works_at_a_lower_resolution_is_named(tmp_path, name):
    edit, cause = SHUFFLING_FAULTS[name]
    weights.save(rrdb(2, 4, 1, 2, unshuffle=2), tmp_path / "model.keras")
    text = refusal(weights.load, with_config(tmp_path / "model.keras", tmp_path / "odd.keras", edit))
    assert text is not None
    assert re.search(cause, text), text


@pytest.mark.parametrize(("text", "cause"), [
    (nested(50_000), "is not JSON"), (nested(200), "levels deep"), ('{"a": 1', "is not JSON"), ("[]", "class null"),
    ("[" + "1," * 2**21 + "1]", "far more"), ("1" * 5000, "is not JSON"), ("", "is not JSON")])
def test_a_configuration_that_is_no_model_is_refused(sound, tmp_path, text, cause):
    path = write_parts(tmp_path / "odd.keras", parts(sound) | {CONFIG: text})
    assert cause in refusal(weights.load, path)


def directory_of(number):
    """Returns an archive of very many empty parts."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for i in range(number):
            archive.writestr(f"assets/{i}", b"")
    return content.getvalue()


@pytest.mark.parametrize(("change", "cause"), [
    (lambda contents: contents | {"assets/a.txt": b""}, "assets/a.txt"),
    (lambda contents: contents | {"../a": b""}, "../a"),
    (lambda contents: {CONFIG: contents[CONFIG]}, "has no model.weights.h5"),
    (lambda contents: [*contents.items(), (CONFIG, b"{}")], "config.json twice"),
    (lambda contents: contents | {WEIGHTS: bytes(2**25)}, "unpacks to 33,554,432 bytes"),
    (lambda contents: contents | {CONFIG: bytes(2**23)}, "unpacks to 8,388,608 bytes"),
    (lambda contents: contents | {WEIGHTS: b""}, "model.weights.h5: is no HDF5 file"),
])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_with_other_or_larger_parts_is_refused(sound, tmp_path, change, cause):
    path = write_parts(tmp_path / "odd.keras", change(parts(sound)), zipfile.ZIP_DEFLATED)
    assert cause in refusal(weights.load, path)


def test_an_archive_that_is_compressed_is_loaded(sound, tmp_path):
    assert refusal(weights.load, write_parts(tmp_path / "a.keras", parts(sound), zipfile.ZIP_DEFLATED)) is None


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression_is_not_unpacked(sound, tmp_path, method):
    path = write_parts(tmp_path / "a.keras", parts(sound), method)
    assert "by a method that Keras does not use" in refusal(weights.load, path)


def test_a_long_directory_is_refused_unread(tmp_path):
    (tmp_path / "a.keras").write_bytes(directory_of(1000))
    assert "far more parts than a model file" in refusal(weights.load, tmp_path / "a.keras")


KERNEL = "layers/conv2d/vars/0"  # of the shape 3 x 3 x 3 x 4


def put(make):
    """Returns what replaces the first kernel by what `make(file)` puts there."""
    def edit(file):
        del file[KERNEL]
        make(file)
    return edit


def share(file):
    """Lets every layer have the weights of one, which are not stored again."""
    for name in ("conv2d_1", "conv2d_2", "conv2d_3"):
        del file[f"layers/{name}"]
        file[f"layers/{name}"] = file["layers/conv2d_4"]


def many(file):
    """Lets the same array stand for the weights of 200 layers."""
    for i in range(200):
        file[f"layers/other_{i}"] = file["layers/conv2d_4"]


@pytest.mark.parametrize(("edit", "cause"), [
    (put(lambda file: file.create_dataset(KERNEL, (3, 3, 3, 4), "f4", compression="gzip")), "is compressed"),
    (put(lambda file: file.create_dataset(KERNEL, (30000, 40000), "f4", chunks=(1, 9))), "4,800,000,000 bytes"),
    (put(lambda file: file.create_dataset(KERNEL, (3, 3, 3, 4), "f4", chunks=(3, 3, 3, 4))), "does not hold"),
    (put(lambda file: file.create_dataset(KERNEL, data=np.zeros((3, 3, 3, 4), "f4"), chunks=(3, 3, 3, 4))),
     "not stored in one piece"),
    (put(lambda file: file.create_dataset(KERNEL, (3, 3, 3, 4), "f4", external=[("/etc/passwd", 0, 432)])),
     "lies in other files"),
    (put(lambda file: file.create_virtual_dataset(KERNEL, h5py.VirtualLayout((3, 3, 3, 4), "f4"))), "in other files"),
    (put(lambda file: file.__setitem__(KERNEL, h5py.ExternalLink("other.h5", "/x"))), "is a link to other.h5"),
    (put(lambda file: file.__setitem__(KERNEL, h5py.SoftLink("/layers"))), "is a link to /layers"),
    (put(lambda file: file.create_dataset(KERNEL, data=np.zeros((3, 3, 3, 4), "i4"))), "is of the type int32"),
    (put(lambda file: file.create_dataset(KERNEL, data=np.zeros((3, 3, 4), "f4"))), "has (3, 3, 4), (4,)"),
    (put(lambda file: file.create_dataset(KERNEL, data=np.full((3, 3, 3, 4), np.inf, "f4"))), "are not finite"),
    (put(lambda file: file.create_dataset(KERNEL, data=np.full((3, 3, 3, 4), 1e300, "f8"))), "are not finite"),
    (put(lambda file: None), "has no 0 in"),
    (lambda file: file.pop("layers/conv2d_2"), "the file has none"),
    (lambda file: file.pop("layers"), "has no layers in"),
    (share, "needs weights of the shapes"),
    (many, "which the file does not hold beside the others"),
])
def test_weights_that_are_not_plain_arrays_of_the_file_are_refused(sound, tmp_path, edit, cause):
    assert cause in refusal(weights.load, with_weights(sound, tmp_path / "odd.keras", edit))


def heaps(size):
    """Returns a file of heaps that lie in each other, each of which ends at the file's end."""
    head = (FIXTURES / "keras2-edsr.h5").read_bytes()[:2048]
    # An object of 16 bytes of data, which are the beginning of the next heap.
    made = [b"GCOL\1\0\0\0" + struct.pack("<QQQ", left + 16, 1, 16) for left in range(size, 0, -32)]
    return head + b"".join(made) + bytes(16)


@pytest.mark.parametrize("size", [2**17, 3 * 2**20])
def test_heaps_in_each_other_take_no_time(tmp_path, size):
    path = tmp_path / "model.h5"
    path.write_bytes(heaps(size))
    start = time.monotonic()
    assert "heap" in refusal(weights.load, path)
    assert time.monotonic() - start < SECONDS


def test_a_layer_that_is_named_twice_is_refused(tmp_path):
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file.attrs["layer_names"] = [b"a"] * 2000
        file.create_group("a").attrs["weight_names"] = [b"kernel:0"] * 2000
    assert "the file names a more than once" in refusal(weights.load, tmp_path / "model.h5")


READERS = {
    "loops": ("while True: pass", "may be damaged"),
    "needs memory": ("bytearray(2**33)", "more memory"),
    "crashes": ("os.abort()", "may be damaged"),
    "writes": ("open({canary!r}, 'w').write('a' * 9999)", "may be damaged"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="the limits are those of Linux")
@pytest.mark.parametrize("name", READERS)
def test_the_reader_is_bounded_whatever_the_hdf5_library_does(sound, tmp_path, monkeypatch, request, name):
    statement, cause = READERS[name]
    canary = tmp_path / "canary"
    reader = tmp_path / "reader.py"
    reader.write_text(f"""
import os, sys
sys.path.insert(0, {str(ROOT / "weights")!r})
import hdf5_reader
def read(*_):
    {statement.format(canary=str(canary))}
hdf5_reader._read, hdf5_reader.CPU_SECONDS = read, 1
hdf5_reader.main()
""")
    reader = weights.hdf5.Reader(reader)
    monkeypatch.setattr(weights.hdf5, "READER", reader)
    request.addfinalizer(reader.end)
    start = time.monotonic()
    assert cause in refusal(weights.load, sound)
    assert time.monotonic() - start < SECONDS
    assert not canary.exists() or not canary.read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the reader forks")
def test_a_reader_that_takes_too_long_is_ended_and_the_next_file_is_read(sound, tmp_path, monkeypatch, request):
    reader = tmp_path / "reader.py"
    reader.write_text(f"""
import os, sys, time
sys.path.insert(0, {str(ROOT / "weights")!r})
import hdf5_reader
read = hdf5_reader._read
def wait_once(*args):
    if not os.path.exists({str(tmp_path / "late")!r}):
        os.mkdir({str(tmp_path / "late")!r})
        time.sleep(60)
    return read(*args)
hdf5_reader._read = wait_once
hdf5_reader.main()
""")
    reader = weights.hdf5.Reader(reader)
    monkeypatch.setattr(weights.hdf5, "READER", reader)
    request.addfinalizer(reader.end)
    with monkeypatch.context() as patch:
        patch.setattr(weights.hdf5, "MAX_SECONDS", 2)
        assert "longer than 2 s" in refusal(weights.load, sound)
    assert refusal(weights.load, sound) is None


def test_configurations_changed_at_random_are_plans_or_refused(sound, tmp_path):
    rng = np.random.default_rng(0)
    config, outcomes = parts(sound)[CONFIG], set()
    for _ in range(400):
        changed = json.loads(config)
        mutate_config(changed, rng)
        outcomes.add(refusal(lambda path, text: read_blueprint(path, parse_json(path, text)), tmp_path / "odd.keras",
                             json.dumps(changed)))
    assert None in outcomes
    assert len(outcomes) > 40


def attack(sound, tmp_path, number, seed):
    """Loads files changed at random, each in its configuration, its weights or as a whole."""
    rng = np.random.default_rng(seed)
    contents, whole = parts(sound), sound.read_bytes()
    outcomes = []
    for i in range(number):
        path = tmp_path / "odd.keras"
        if i % 3 == 0:
            config = json.loads(contents[CONFIG])
            mutate_config(config, rng)
            write_parts(path, contents | {CONFIG: json.dumps(config)})
        elif i % 3 == 1:
            write_parts(path, contents | {WEIGHTS: mutate_bytes(contents[WEIGHTS], rng)})
        else:
            path.write_bytes(mutate_bytes(whole, rng))
        outcomes.append(refusal(weights.load, path))
    return outcomes


def test_files_changed_at_random_are_loaded_or_refused(sound, tmp_path):
    assert any(attack(sound, tmp_path, 24, seed=0))


@pytest.mark.slow
def test_many_files_changed_at_random_are_loaded_or_refused(sound, tmp_path):
    outcomes = attack(sound, tmp_path, 600, seed=1)
    assert None in outcomes
    rng = np.random.default_rng(2)
    for path in sorted(FIXTURES.glob("keras2-*.h5")):
        for _ in range(100):
            (tmp_path / "odd.h5").write_bytes(mutate_bytes(path.read_bytes(), rng))
            refusal(weights.load, tmp_path / "odd.h5")
