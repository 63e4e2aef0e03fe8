import os

import numpy as np
import pytest

from data import PatchSequence
from datasets.div2k import find_pairs
from datasets.patches import PatchStream
from errors import UserError
from tests.conftest import make_photo


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


def test_an_error_of_a_worker_is_raised_where_its_batch_is_used(pairs):
    stream = PatchStream(pairs, 3, batch_size=4, patch_size=9)
    for pair in pairs:
        pair.lr.path.unlink()
    with pytest.raises(FileNotFoundError):
        PatchSequence(stream)[0]


def test_every_pass_shows_all_images_in_a_new_order(pairs):
    stream = PatchStream(pairs, 3, batch_size=4, patch_size=9)
    order = [stream._image_index(number) for number in range(30)]
    passes = [tuple(order[i:i + 10]) for i in (0, 10, 20)]
    assert all(sorted(one) == list(range(10)) for one in passes)
    assert len(set(passes)) == 3


def test_images_smaller_than_a_patch_are_left_out(pairs):
    stream = PatchStream(pairs, 3, patch_size=25)
    assert stream.num_too_small == 8  # LR sizes are (20 + i, 31 - i)
    assert [pair.image_id for pair in stream.pairs] == [5, 6]
    with pytest.raises(UserError, match=r"none of the 10 images of .*_HR is as large as a patch of 120 x 120"):
        PatchStream(pairs, 3, patch_size=40)


def test_ids_default_to_what_is_there(pairs, tmp_path):
    assert [pair.image_id for pair in pairs] == list(range(1, 11))
    assert [pair.image_id for pair in find_pairs(tmp_path, "train", 3, "bicubic", [3, 4])] == [3, 4]


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
    with pytest.raises(UserError, match=r"there are no arrays NNNN\.npy in it"):
        find_pairs(tmp_path, "train", 3, "bicubic")
