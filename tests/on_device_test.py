import keras
import numpy as np
import pytest

import train
from data import PatchSequence, patch_stream
from datasets.arrays import ArrayChanged
from datasets.degradations import Degradation
from datasets.degraded import find_or_make_pairs
from datasets.div2k import find_pairs
from errors import UserError
from model import pixel_loss
from tests.conftest import assert_one_line_error, make_photo, to_numpy
from training import on_device as module
from training.networks import chosen_jit
from training.on_device import DevicePatches, free_memory, num_bytes, on_device

SCALE = 2


@pytest.fixture
def pairs(tmp_path):
    """Seven pairs of several sizes at scale 2; in high resolution some have a row and a column more."""
    for i in range(7):
        lr = make_photo(13 + 3 * i, 31 - 2 * i, seed=i)
        hr = make_photo(lr.shape[0] * SCALE + i % 2, lr.shape[1] * SCALE + i % 2, seed=50 + i)
        for folder, name, image in (("DIV2K_train_HR", f"{i:04d}", hr),
                                    ("DIV2K_train_LR_bicubic/X2", f"{i:04d}x2", lr)):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            np.save(tmp_path / folder / f"{name}.npy", image)
    return find_pairs(tmp_path, "train", SCALE, "bicubic")


def stream_of(pairs, **kwargs):
    return patch_stream(pairs, SCALE, "train", **{"batch_size": 6, "patch_size": 9, "seed": 4, **kwargs})


def cut(patches, number):
    """Returns a batch as arrays, on TensorFlow with the step that `on_device` puts into the network's."""
    batch = patches.batch(number)
    return [to_numpy(images) for images in (patches.cut(batch[0]) if len(batch) == 1 else batch)]


@pytest.mark.parametrize("bank_bytes", [1 << 30, 14000, 1])
@pytest.mark.parametrize("augment", [True, False])
def test_patches_of_the_device_are_those_of_the_host_bit_for_bit(pairs, monkeypatch, bank_bytes, augment):
    monkeypatch.setattr(module, "BANK_BYTES", bank_bytes)
    stream = stream_of(pairs, augment=augment)
    patches = DevicePatches(stream)
    assert len(patches._hr["banks"]) == {1 << 30: 1, 14000: 4, 1: 7}[bank_bytes]
    for number in (0, 1, 2, 3, 41, 1000):  # with all images, flips and turns
        for ours, theirs in zip(cut(patches, number), stream.batch(number), strict=True):
            assert ours.dtype == np.uint8
            assert np.array_equal(ours, theirs)


def test_a_step_takes_a_few_whole_numbers_of_each_sample(pairs):
    patches = DevicePatches(stream_of(pairs))
    if keras.backend.backend() == "tensorflow":
        assert patches.batch(0)[0].shape == (6, 5)
    assert len(patches.stream.place(0)) == 5


def network_of():
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3, padding="same"),
                                keras.layers.UpSampling2D(2), keras.layers.Conv2D(3, 3, padding="same")])
    network.compile("adam", loss=pixel_loss("mae"), jit_compile=chosen_jit("auto"))
    return network


def losses(network, sequence, first, num_steps):
    """Returns the mean losses of so many steps from step `first`, as a training takes them up."""
    values = []
    sequence.window(first, num_steps)
    on_end = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: values.append(float(logs["loss"])))
    network.fit(sequence, verbose=0, shuffle=False, callbacks=[on_end])
    sequence.close()
    return values


@pytest.mark.slow
def test_training_on_the_device_gives_the_same_losses_and_weights(pairs):
    stream = stream_of(pairs)
    host, device = network_of(), network_of()
    sequences = PatchSequence(stream), on_device(PatchSequence(stream), device, "yes")
    assert isinstance(sequences[1].stream, DevicePatches)
    for first, num_steps in ((0, 3), (7, 2)):
        expected, found = (losses(network, sequence, first, num_steps)
                           for network, sequence in zip((host, device), sequences, strict=True))
        assert expected == found
    for ours, theirs in zip(device.get_weights(), host.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)


def test_the_default_leaves_the_images_on_the_host_where_no_gpu_has_room(pairs, monkeypatch):
    sequence = PatchSequence(stream_of(pairs))
    assert on_device(sequence, None, "no") is sequence
    if free_memory() == 0:
        assert on_device(sequence, None, "auto") is sequence
    room = 2 * num_bytes(sequence.stream)
    monkeypatch.setattr(module, "free_memory", lambda: room - 1)
    assert on_device(sequence, None, "auto") is sequence
    monkeypatch.setattr(module, "free_memory", lambda: room)
    assert isinstance(on_device(sequence, network_of(), "auto").stream, DevicePatches)


def test_images_whose_low_resolution_is_made_stay_on_the_host(pairs, monkeypatch):
    dataset = pairs[0].folder.parent
    made = find_or_make_pairs(dataset, "train", SCALE, Degradation("photo", 1, 1, 0))
    sequence = PatchSequence(stream_of(made))
    monkeypatch.setattr(module, "free_memory", lambda: 1 << 40)
    assert on_device(sequence, None, "auto") is sequence
    with pytest.raises(UserError, match="cannot be kept on the device, since the host makes"):
        on_device(sequence, None, "yes")


def test_a_training_that_cannot_keep_its_images_on_the_device_ends_before_it_makes_a_folder(pairs, run_main, tmp_path):
    dataset, outdir = pairs[0].folder.parent, tmp_path / "output"
    result = run_main(train, "-d", dataset, "-o", outdir, "--patch-size", 9, "--num-filters", 2, "--num-res-blocks", 1,
                      "--no-validation", "--downgrade", "photo", "--data-on-device", "yes")
    assert_one_line_error(result, pairs[0].folder, "cannot be kept on the device, since the host makes")
    assert not outdir.exists()


def test_images_stay_on_the_host_where_several_devices_train(pairs, monkeypatch):
    sequence, network = PatchSequence(stream_of(pairs)), network_of()
    assert not module.is_distributed(network)
    monkeypatch.setattr(module, "free_memory", lambda: 1 << 40)
    monkeypatch.setattr(module, "is_distributed", lambda network: True)
    assert on_device(sequence, network, "auto") is sequence
    with pytest.raises(UserError, match="cannot be kept on the device, since several devices train"):
        on_device(sequence, network, "yes")


def test_an_array_that_was_replaced_is_not_copied(pairs):
    np.save(pairs[2].hr.path, make_photo(9, 9))
    with pytest.raises(ArrayChanged, match=r"0002\.npy"):
        DevicePatches(stream_of(pairs))
