import multiprocessing
import os
import signal
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest

from data import PatchSequence, WorkerDied, find_training_pairs, patch_stream
from datasets.arrays import ArrayChanged
from datasets.degradations import Degradation
from datasets.degraded import find_downgrade, find_or_make_pairs
from datasets.div2k import find_pairs
from datasets.patches import PatchStream
from errors import UserError
from imaging.resize import downscale
from tests.conftest import make_photo
from training.pixelwise import reading


def write_pair(dataset, image_id, lr, scale, subset="train"):
    """Writes `lr` and, as HR, the same image with every pixel repeated, so that alignment shows."""
    hr = np.repeat(np.repeat(lr, scale, 0), scale, 1)
    for folder, name, image in ((f"DIV2K_{subset}_HR", f"{image_id:04d}", hr),
                                (f"DIV2K_{subset}_LR_bicubic/X{scale}", f"{image_id:04d}x{scale}", lr)):
        (dataset / folder).mkdir(parents=True, exist_ok=True)
        np.save(dataset / folder / f"{name}.npy", image)


@pytest.fixture
def pairs(tmp_path):
    """Ten aligned pairs at scale 3."""
    for i in range(1, 11):
        write_pair(tmp_path, i, make_photo(20 + i, 31 - i, seed=i), 3)
    return find_pairs(tmp_path, "train", 3, "bicubic")


class FailingStream:
    """Batches of which one, number 4, cannot be loaded."""

    batch_size = 1

    def batch(self, number):
        if number == 4:
            raise ArrayChanged("a.npy: was replaced")
        return number


def test_the_first_of_the_batches_that_belong_together_fails_where_one_of_them_does():
    sequence = PatchSequence(FailingStream(), 8, max_queue_size=1)
    sequence.together = 3
    assert [sequence[i] for i in range(3)] == [0, 1, 2]
    with pytest.raises(ArrayChanged):
        sequence[3]
    sequence.window(5, 5)  # the last ones are fewer
    assert [sequence[i] for i in range(5)] == [5, 6, 7, 8, 9]
    sequence.window(3, 3)
    with pytest.raises(ArrayChanged):
        sequence.load_first()
    sequence.close()


def test_crop_flip_and_rotation_keep_lr_and_hr_aligned(pairs):
    stream = PatchStream(pairs, 3, batch_size=4, patch_size=9)
    for index in range(20):
        lr, hr = stream.batch(index)
        assert lr.shape == (4, 9, 9, 3)
        assert hr.shape == (4, 27, 27, 3)
        assert lr.dtype == hr.dtype == np.uint8
        assert np.array_equal(np.repeat(np.repeat(lr, 3, 1), 3, 2), hr)


def test_every_flip_and_rotation_occurs(tmp_path):
    lr = make_photo(8, 8)
    write_pair(tmp_path, 1, lr, 2)
    stream = PatchStream(find_pairs(tmp_path, "train", 2, "bicubic"), 2, batch_size=100, patch_size=8)
    variants = [np.rot90(image, k) for image in (lr, lr[:, ::-1]) for k in range(4)]
    found = {i for patch in stream.batch(0)[0] for i, image in enumerate(variants) if np.array_equal(patch, image)}
    assert found == set(range(8))


def test_without_augmentation_patches_are_upright(pairs):
    stream = PatchStream(pairs[:1], 3, batch_size=30, patch_size=9, augment=False)
    image = np.load(pairs[0].lr.path)
    windows = np.lib.stride_tricks.sliding_window_view(image, (9, 9), axis=(0, 1)).transpose(0, 1, 3, 4, 2)
    for patch in stream.batch(0)[0]:
        assert (windows == patch).all(axis=(2, 3, 4)).any()


def test_a_batch_depends_on_its_number_and_the_seed_alone(pairs):
    stream = PatchStream(pairs, 3, batch_size=4, patch_size=9, seed=5)
    in_order = [stream.batch(i)[0] for i in range(6)]
    again = PatchStream(pairs, 3, batch_size=4, patch_size=9, seed=5)
    assert all(np.array_equal(again.batch(i)[0], in_order[i]) for i in reversed(range(6)))
    other = PatchStream(pairs, 3, batch_size=4, patch_size=9, seed=6)
    assert not np.array_equal(other.batch(0)[0], in_order[0])


@pytest.mark.parametrize(("num_workers", "in_processes", "ahead"), [(1, False, 1), (3, False, 16), (2, True, 4)])
def test_a_sequence_is_the_stream_whatever_the_workers(pairs, num_workers, in_processes, ahead):
    stream = PatchStream(pairs, 3, batch_size=4, patch_size=9)
    sequence = PatchSequence(stream, None, num_workers, in_processes, ahead)
    for first_batch in (0, 5):
        sequence.window(first_batch, 6)
        for index in (0, 1, 0, 1, 2, 3, 4, 5):  # Keras looks at the first batches before it begins
            for ours, theirs in zip(sequence[index], stream.batch(first_batch + index), strict=True):
                assert np.array_equal(ours, theirs)
    sequence.close()


def test_batches_go_on_when_a_worker_is_killed_until_it_is_asked_for(pairs):
    stream = PatchStream(pairs, 3, batch_size=64, patch_size=18)  # batches larger than a pipe holds
    sequence = PatchSequence(stream, 12, 2, True, 4)
    for index in range(12):
        sequence.check()
        if index == 6:
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
            break
        assert np.array_equal(sequence[index][0], stream.batch(index)[0])
    for later in range(index, 12):
        assert np.array_equal(sequence[later][0], stream.batch(later)[0])
    with pytest.raises(WorkerDied, match="was killed"):
        sequence.check()
    sequence.close()
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_a_worker_that_dies_in_the_middle_of_a_batch_is_noticed(pairs):
    stream = HalfSent(PatchStream(pairs, 3, batch_size=4, patch_size=9))
    sequence = PatchSequence(stream, 4, 2, True, 1)
    for index in range(4):
        assert np.array_equal(sequence[index][0], stream.stream.batch(index)[0])
    with pytest.raises(WorkerDied):
        sequence.check()
    sequence.close()


class HalfSent:
    """A stream whose workers die while they pass on batch 2."""

    batch_size = 4

    def __init__(self, stream):
        self.stream = stream

    def batch(self, number):
        batch = self.stream.batch(number)
        if number == 2 and multiprocessing.parent_process():
            # The executor's thread for results writes to this pipe; no result is as large as its length says.
            descriptor = _result_pipe()
            os.write(descriptor, struct.pack("!i", 10**6) + b"half of a batch")
            os._exit(1)
        return batch


def _result_pipe():
    """Returns the descriptor of the pipe by which this worker passes on its results."""
    frame = sys._getframe()
    while "result_queue" not in frame.f_locals:
        frame = frame.f_back
    return frame.f_locals["result_queue"]._writer.fileno()


def replace_by_a_smaller_one(path):
    np.save(path.with_name("smaller.npy"), np.load(path)[1:])
    path.with_name("smaller.npy").replace(path)


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("in_processes", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("spoil", "cause"), [
    (os.utime, "was replaced or changed since it was found"),
    (replace_by_a_smaller_one, "was replaced or changed since it was found"),
    (cut, "was replaced or changed since it was found"),
    (os.unlink, "can no longer be read: No such file or directory")])
def test_an_array_that_is_no_longer_the_same_is_named_where_its_batch_is_used(pairs, in_processes, spoil, cause):
    sequence = PatchSequence(PatchStream(pairs[:1], 3, batch_size=4, patch_size=9), None, 1, in_processes)
    sequence[0]
    sequence.check()
    sequence.window(100, 1)
    path = pairs[0].lr.path
    spoil(path)
    for call in (lambda: sequence[0], sequence.check):
        with pytest.raises(ArrayChanged, match=f"^{path}: {cause}$"):
            call()
    sequence.close()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow's data sets")
@pytest.mark.parametrize("num_batches", [3, None])
def test_tensorflow_reads_the_batches_without_autotuning_whose_end_it_may_wait_for(pairs, num_batches):
    sequence = PatchSequence(PatchStream(pairs, 3, batch_size=4, patch_size=9), num_batches)
    with reading(sequence, None) as batches:
        assert not batches.options().autotune.enabled
        assert int(batches.cardinality()) == (num_batches or -1)  # -1: endless
        for number, (lr, hr) in enumerate(batches.take(3)):
            expected = sequence.stream.batch(number)
            assert np.array_equal(lr, expected[0])
            assert np.array_equal(hr, expected[1])
    assert number == 2
    sequence.close()


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_array_that_is_cut_while_it_is_read_is_named_and_ends_no_process(pairs, monkeypatch, when):
    read, path = os.read, pairs[0].hr.path

    def read_while_it_is_cut(file, count):
        content = read(file, count) if when == "after" else None
        cut(path)
        return content or read(file, count)

    monkeypatch.setattr("datasets.arrays.os.read", read_while_it_is_cut)
    with pytest.raises(ArrayChanged, match=f"^{path}: was replaced or changed since it was found$"):
        pairs[0].crop(0, 0, 9, 3, 0)


def test_rows_of_an_array_are_read_however_few_at_a_time(pairs, monkeypatch):
    read, hr = os.read, np.load(pairs[0].hr.path)
    monkeypatch.setattr("datasets.arrays.os.read", lambda file, count: read(file, min(count, 100)))
    assert np.array_equal(pairs[0].hr.read(2, 7), hr[2:7])
    assert np.array_equal(pairs[0].hr.read(), hr)


def test_the_first_batch_is_loaded_once_where_it_is_waited_for(pairs, monkeypatch):
    stream, numbers, batch = PatchStream(pairs, 3, batch_size=4, patch_size=9), [], PatchStream.batch
    monkeypatch.setattr(PatchStream, "batch", lambda self, number: numbers.append(number) or batch(self, number))
    sequence = PatchSequence(stream, 3)
    sequence.load_first()
    found = [sequence[index] for index in range(3)]
    assert sorted(numbers) == [0, 1, 2]
    assert np.array_equal(found[0][0], batch(stream, 0)[0])
    sequence.close()


def test_every_pass_shows_all_images_in_a_new_order(pairs):
    stream = PatchStream(pairs, 3, batch_size=4, patch_size=9)
    order = [stream._image_index(number) for number in range(30)]
    passes = [tuple(order[i:i + 10]) for i in (0, 10, 20)]
    assert all(sorted(one) == list(range(10)) for one in passes)
    assert len(set(passes)) == 3


def test_images_smaller_than_a_patch_are_left_out(pairs):
    stream = PatchStream(pairs, 3, patch_size=25)
    assert stream.num_too_small == 8  # LR sizes are (20 + i, 31 - i)
    assert [pair.name for pair in stream.pairs] == ["0005", "0006"]
    with pytest.raises(UserError, match=r"none of the 10 images of .*_HR is as large as a patch of 120 x 120"):
        PatchStream(pairs, 3, patch_size=40)


@dataclass(frozen=True)
class MadePair:
    """A pair that makes its low resolution of the high one: blurred and reduced."""

    hr_path: Path
    scale: int

    @property
    def name(self):
        return self.hr_path.stem

    @property
    def folder(self):
        return self.hr_path.parent

    @property
    def lr_shape(self):
        height, width, channels = np.load(self.hr_path, mmap_mode="r").shape
        return height // self.scale, width // self.scale, channels

    def load(self, scale):
        assert scale == self.scale
        hr = np.load(self.hr_path)
        lr = downscale(hr, scale, "replicate")
        return hr[:lr.shape[0] * scale, :lr.shape[1] * scale], lr // 2

    def crop(self, y, x, size, scale, number):
        hr, lr = self.load(scale)
        return hr[y * scale:(y + size) * scale, x * scale:(x + size) * scale], lr[y:y + size, x:x + size]


@pytest.mark.parametrize("in_processes", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_pair_that_makes_its_low_resolution_trains(tmp_path, in_processes):
    for i in range(3):
        np.save(tmp_path / f"{i}.npy", make_photo(40 + i, 50, seed=i))
    pairs = [MadePair(tmp_path / f"{i}.npy", 2) for i in range(3)]
    stream = patch_stream(pairs, 2, "train", batch_size=4, patch_size=8, seed=0)
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.UpSampling2D(2), keras.layers.Conv2D(3, 1)])
    model.compile(keras.optimizers.Adam(1e-2), "mae", jit_compile=False)
    sequence = PatchSequence(stream, 30, use_multiprocessing=in_processes)
    history = model.fit(sequence, epochs=3, shuffle=False, verbose=0).history
    sequence.close()
    assert history["loss"][-1] < 0.8 * history["loss"][0]


def test_a_sequence_needs_batches_by_number_alone():
    class Numbers:
        batch_size = 2

        def batch(self, number):
            return np.full(2, number), np.full(2, -number)

    sequence = PatchSequence(Numbers(), 3)
    sequence.window(5, 3)
    assert [sequence[i][0][0] for i in range(3)] == [5, 6, 7]
    assert sequence.batch_size == 2
    sequence.close()


def test_small_images_are_left_out_with_a_line_or_refused_with_the_advice(pairs, capsys):
    sizes = {"batch_size": 4, "patch_size": 25, "seed": 0}
    assert len(patch_stream(pairs, 3, "valid", **sizes).pairs) == 2
    assert capsys.readouterr().out == ("8 validation images are smaller than a patch of 75 x 75 pixels and are left "
                                       "out; 2 are used\n")
    with pytest.raises(UserError, match="8 training images are smaller than a patch of 75 x 75 pixels: drop them"):
        patch_stream(pairs, 3, "train", advice="drop them", **sizes)


def test_the_training_set_alone_is_augmented(pairs):
    sizes = {"batch_size": 4, "patch_size": 9, "seed": 0}
    assert not patch_stream(pairs, 3, "train", augment=False, **sizes).augment
    assert [patch_stream(pairs, 3, subset, **sizes).augment for subset in ("train", "valid")] == [True, False]


def test_ids_default_to_what_is_there(pairs, tmp_path):
    assert [pair.name for pair in pairs] == [f"{i:04d}" for i in range(1, 11)]
    assert [pair.name for pair in find_pairs(tmp_path, "train", 3, "bicubic", [3, 4])] == ["0003", "0004"]


def test_an_hr_image_may_exceed_the_multiple_of_the_scale(tmp_path):
    write_pair(tmp_path, 1, make_photo(10, 10), 3)
    path = tmp_path / "DIV2K_train_HR" / "0001.npy"
    np.save(path, np.pad(np.load(path), ((0, 2), (0, 1), (0, 0))))
    pairs = find_pairs(tmp_path, "train", 3, "bicubic")
    lr, hr = PatchStream(pairs, 3, batch_size=2, patch_size=10, augment=False).batch(0)
    assert np.array_equal(np.repeat(np.repeat(lr, 3, 1), 3, 2), hr)


def save_pickle(path):
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)


def save_truncated(path):
    content = path.read_bytes()
    path.write_bytes(content[:len(content) // 2])


@pytest.mark.parametrize(("spoil", "cause"), [
    (lambda path: path.unlink(), "there is no such array"),
    (lambda path: path.write_bytes(b""), "cannot be read as a numpy array: EOF"),
    (lambda path: path.write_bytes(b"garbage" * 100), "cannot be read as a numpy array: the magic string"),
    (save_truncated, "cannot be read as a numpy array: mmap length is greater than file size"),
    (save_pickle, "cannot be read as a numpy array: .*Python objects"),
    (lambda path: np.save(path, np.zeros((8, 8, 3), np.float32)), r"holds float32 of shape \(8, 8, 3\)"),
    (lambda path: np.save(path, np.zeros((3, 8, 8), np.uint8).T), "is stored column by column"),
    (lambda path: np.save(path, np.zeros((8, 8), np.uint8)), r"holds uint8 of shape \(8, 8\)"),
    (lambda path: np.save(path, np.zeros((8, 9, 3), np.uint8)), "is 8 x 9, which does not fit .*0002.npy of 66 x 87"),
])
def test_a_bad_array_is_named_with_its_cause(pairs, tmp_path, spoil, cause):
    spoil(pairs[1].lr.path)
    with pytest.raises(UserError, match=f"{pairs[1].lr.path}: {cause}"):
        find_pairs(tmp_path, "train", 3, "bicubic")


def npy_header(text):
    """Returns the beginning of a .npy file with any header."""
    return b"\x93NUMPY\x01\x00" + (len(text) + 1).to_bytes(2, "little") + text.encode("latin-1") + b"\n" + bytes(999)


@pytest.mark.parametrize("header", [
    "{'descr': '|u1', 'fortran_order': False, 'shape': (", "{'descr': '|u1', 'fortran_order': False, 'shape': (8.0,)}",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (-8, -9, 3)}", "(" * 3000 + ")" * 3000, "\n" * 50,
    f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({2**70}, 9, 3)}}", "1\r\n2", "-" * 9000])
def test_an_array_with_any_header_is_an_error_of_one_line(pairs, tmp_path, header):
    pairs[1].lr.path.write_bytes(npy_header(header))
    with pytest.raises(UserError, match=f"{pairs[1].lr.path}: ") as error:
        find_pairs(tmp_path, "train", 3, "bicubic")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600


def test_a_pipe_in_place_of_an_array_is_named_and_not_opened(pairs, tmp_path):
    pairs[1].lr.path.unlink()
    os.mkfifo(pairs[1].lr.path)
    with pytest.raises(UserError, match=f"{pairs[1].lr.path}: is no regular file"):
        find_pairs(tmp_path, "train", 3, "bicubic")


def test_missing_folders_and_ids_are_named(pairs, tmp_path):
    for subset, scale, missing in (("valid", 3, "DIV2K_valid_HR"), ("train", 2, "DIV2K_train_LR_bicubic/X2")):
        with pytest.raises(UserError, match=f"{missing}: there is no such folder; convert.py"):
            find_pairs(tmp_path, subset, scale, "bicubic")
    with pytest.raises(UserError, match=r"0011\.npy: there is no such array"):
        find_pairs(tmp_path, "train", 3, "bicubic", [10, 11])
    for pair in pairs:
        pair.hr.path.unlink()
    with pytest.raises(UserError, match=r"there are no arrays NAME\.npy in it"):
        find_pairs(tmp_path, "train", 3, "bicubic")


def write_arrays(folder, *names, shape=(8, 8, 3)):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        np.save(folder / f"{name}.npy", np.zeros(shape, np.uint8))


def names_of(pairs):
    return [(pair.name, pair.lr.path.stem) for pair in pairs]


def test_any_file_name_is_an_image_id(tmp_path):
    names = ["0001", "0001_s001", "000001", "img5", "box2"]
    write_arrays(tmp_path / "DIV2K_train_HR", *names, "._0001")
    write_arrays(tmp_path / "DIV2K_train_LR_bicubic" / "X2", *(f"{name}x2" for name in names), shape=(4, 4, 3))
    pairs = find_pairs(tmp_path, "train", 2, "bicubic")
    assert names_of(pairs) == [(name, f"{name}x2") for name in sorted(names)]


def test_a_range_chooses_among_the_numbers_and_says_what_it_leaves_out(tmp_path, capsys):
    names = ["0001", "0002_s001", "0002_s002", "0003", "img2"]
    write_arrays(tmp_path / "DIV2K_train_HR", *names)
    write_arrays(tmp_path / "DIV2K_train_LR_bicubic" / "X2", *(f"{name}x2" for name in names), "9x2", shape=(4, 4, 3))
    pairs = find_pairs(tmp_path, "train", 2, "bicubic", range(1, 3))
    assert [pair.name for pair in pairs] == ["0001", "0002_s001", "0002_s002"]
    out = capsys.readouterr().out
    assert "arrays whose names do not begin with a number, left out: 1, such as img2.npy" in out
    assert "arrays without a high-resolution image, left out: 1, such as 9x2.npy" in out
    with pytest.raises(UserError, match=r"0004\.npy: there is no such array"):
        find_pairs(tmp_path, "train", 2, "bicubic", range(1, 10**9))


@pytest.mark.parametrize(("downgrade", "folder", "scale", "lr_names"), [
    ("mild", "LR_mild", 4, ["0001x4m"]),
    ("wild", "LR_wild", 4, ["0001x4w1", "0001x4w2"]),
    ("bicubic", "LR_x8", 8, ["0001x8"]),
    ("bicubic_jpeg_40", "LR_bicubic_jpeg_40/X4", 4, ["0001x4"]),
])
def test_any_folder_is_a_downgrade(tmp_path, downgrade, folder, scale, lr_names):
    write_arrays(tmp_path / "DIV2K_train_HR", "0001", shape=(16, 24, 3))
    write_arrays(tmp_path / f"DIV2K_train_{folder}", *lr_names, shape=(16 // scale, 24 // scale, 3))
    pairs = find_pairs(tmp_path, "train", scale, downgrade)
    assert names_of(pairs) == [("0001", name) for name in lr_names]


def test_a_downgrade_that_is_not_there_is_told_with_those_that_are(tmp_path):
    write_arrays(tmp_path / "DIV2K_train_HR", "0001")
    write_arrays(tmp_path / "DIV2K_train_LR_mild", "0001x4m")
    with pytest.raises(UserError, match=r"LR_unknown/X4: there is no such folder.*the downgrades in this one are mild"):
        find_pairs(tmp_path, "train", 4, "unknown")


def test_a_folder_in_the_folder_is_named(tmp_path):
    write_arrays(tmp_path / "DIV2K_train_HR" / "DIV2K_train_HR", "0001")
    write_arrays(tmp_path / "DIV2K_train_LR_bicubic" / "X2", "0001x2", shape=(4, 4, 3))
    with pytest.raises(UserError, match=r"DIV2K_train_HR: there are no arrays .*but .* its folder DIV2K_train_HR"):
        find_pairs(tmp_path, "train", 2, "bicubic")


@pytest.mark.parametrize("in_processes", [False, True])
def test_low_resolution_patches_are_made_of_the_high_ones_whatever_the_workers(tmp_path, in_processes):
    for subset, seed in (("train", 0), ("valid", 1)):
        (tmp_path / f"DIV2K_{subset}_HR").mkdir()
        np.save(tmp_path / f"DIV2K_{subset}_HR" / "photo.npy", make_photo(67, 53, seed=seed))
    degradation = Degradation("photo", seed=3)
    train_pairs, (valid_pair,) = find_training_pairs(tmp_path, 2, degradation)
    stream = patch_stream(train_pairs, 2, "train", batch_size=4, patch_size=12, seed=0)
    sequence = PatchSequence(stream, 3, num_workers=2, use_multiprocessing=in_processes)
    batches = [sequence[i] for i in range(3)]
    sequence.close()
    for number in reversed(range(3)):
        for ours, theirs in zip(stream.batch(number), batches[number], strict=True):
            assert np.array_equal(ours, theirs)
    lr, hr = batches[0]
    assert lr.shape == (4, 12, 12, 3)
    assert hr.shape == (4, 24, 24, 3)
    plain = [downscale(image, 2) for image in hr]
    assert not np.array_equal(lr, plain)
    assert np.abs(lr.astype(int) - plain).mean() < 20
    assert np.array_equal(valid_pair.load(2)[1], valid_pair.load(2)[1])
    assert valid_pair.load(2)[0].shape == (66, 52, 3)
    assert valid_pair.load(2)[1].shape == valid_pair.lr_shape == (33, 26, 3)


def write_hr(dataset, subset, *names):
    folder = dataset / f"DIV2K_{subset}_HR"
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        np.save(folder / f"{name}.npy", make_photo(32, 36, seed=i))


def test_stored_low_resolution_is_taken_before_any_is_made(tmp_path, capsys):
    write_hr(tmp_path, "train", "0001")
    write_hr(tmp_path, "valid", "0801")
    write_arrays(tmp_path / "DIV2K_valid_LR_photo" / "X2", "0801x2", shape=(16, 18, 3))
    train_pairs, valid_pairs = find_training_pairs(tmp_path, 2, find_downgrade("photo", 1.0, 1, seed=0))
    assert valid_pairs[0].load(2)[1].max() == 0
    assert train_pairs[0].load(2)[1].max() > 0
    assert capsys.readouterr().out == (f"{tmp_path / 'DIV2K_train_HR'}: low-resolution images are made (photo, "
                                       "strength 1, seed 0)\n")


def test_validation_images_may_come_from_the_training_folder_or_another_data_set(tmp_path, capsys):
    downgrade = find_downgrade("photo", 0.0, 1, seed=0)
    write_hr(tmp_path / "merged", "train", "0001", "0002", "0801", "0802")
    write_hr(tmp_path / "other", "valid", "a", "b", "c")
    train_pairs, valid_pairs = find_training_pairs(tmp_path / "merged", 2, downgrade, None, range(801, 803))
    assert [pair.name for pair in train_pairs] == ["0001", "0002"]
    assert [pair.name for pair in valid_pairs] == ["0801", "0802"]
    assert "2 of its images are for validation, 2 for training" in capsys.readouterr().out
    _, valid_pairs = find_training_pairs(tmp_path / "merged", 2, downgrade, valid_dataset=tmp_path / "other")
    assert [pair.name for pair in valid_pairs] == ["a", "b", "c"]
    with pytest.raises(UserError, match=r"DIV2K_valid_HR: there is no such folder of validation images: so and so"):
        find_training_pairs(tmp_path / "merged", 2, downgrade, advice="so and so")
    with pytest.raises(UserError, match="all of its images are for validation"):
        find_training_pairs(tmp_path / "merged", 2, downgrade, range(1, 3), range(1, 3))


def test_images_smaller_than_a_pixel_of_low_resolution_are_an_error(tmp_path):
    write_arrays(tmp_path / "DIV2K_train_HR", "0001", shape=(3, 9, 3))
    with pytest.raises(UserError, match=r"DIV2K_train_HR: none of its images is as large as 4 x 4 pixels"):
        find_or_make_pairs(tmp_path, "train", 4, find_downgrade("photo", 1.0, 1, seed=0))
