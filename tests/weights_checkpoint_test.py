"""PyTorch's files and .safetensors, read without PyTorch: files that PyTorch wrote, and hostile ones."""

import copy
import pickle
import struct
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import weights
import weights.pickles
import weights.torch_files
from errors import UserError
from tests.hostile_models import mutate_bytes, refusal
from weights.checkpoint import read_tensors
from weights.torch_files import MAGIC

FIXTURES = Path(__file__).parent / "fixtures"
FILES = ("torch-zip.pt", "torch-legacy.pth", "torch-protocol-4.pt")
SHARED = np.arange(24.0)
EXPECTED = {
    "plain": np.arange(6).reshape(2, 3), "transposed": np.arange(6).reshape(2, 3).T,
    "part": SHARED[5:17].reshape(3, 4)[:, 1:3], "other part": SHARED[::3], "scalar": 7, "empty": np.zeros((0, 3)),
    "expanded": [[1, 1, 1], [2, 2, 2]], "parameter": [1.5, -2.5],
    **{f"torch.{name}": [1.5, 0, 3.140625] for name in ("float16", "bfloat16", "float64")},
    **{f"torch.{name}": [1, 0, 3] for name in ("int64", "int32", "int16", "int8", "uint8")}, "torch.bool": [1, 0, 1],
}
SECONDS = 10  # of a machine under load


@pytest.mark.parametrize("name", FILES)
def test_the_tensors_of_pytorchs_files_are_read_without_pytorch(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    tensors, _ = read_tensors(FIXTURES / name)
    assert list(tensors) == list(EXPECTED)
    for key, expected in EXPECTED.items():
        assert tensors[key].dtype == np.float32
        assert np.array_equal(tensors[key], expected), key


def test_safetensors_of_every_type_are_read(tmp_path):
    arrays = {dtype: np.array([[1, 0, 3]], dtype) for dtype in
              ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "?")}
    save_file(arrays, tmp_path / "model.safetensors")
    tensors, _ = read_tensors(tmp_path / "model.safetensors")
    assert {name: array.tolist() for name, array in tensors.items()} == {
        name: array.astype("f4").tolist() for name, array in arrays.items()}


def safe_file(path, header, data=b""):
    text = header.encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def test_bfloat16_is_the_upper_half_of_a_float32(tmp_path):
    values = np.array([1.5, -3.140625, 1e30], "<f4")
    upper = (values.view("<u4") >> 16).astype("<u2")
    path = safe_file(tmp_path / "a.safetensors", '{"a":{"dtype":"BF16","shape":[3],"data_offsets":[0,6]}}',
                     upper.tobytes())
    assert read_tensors(path)[0]["a"] == pytest.approx(values, rel=2**-7)
    assert np.array_equal(read_tensors(path)[0]["a"].view("<u4") >> 16, upper)


@pytest.mark.parametrize(("header", "cause"), [
    ('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', "may be damaged"),
    ('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}}', "may be damaged"),
    ('{"a":{"dtype":"F32","shape":[99999999999,99999999999],"data_offsets":[0,4]}}', "may be damaged"),
    ('{"a":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}}', "numbers of the type F8_E4M3"),
    ("[" * 9999, "may be damaged"), ("", "may be damaged"), (" " * 2**22 + "{}", "far more than such a network has"),
])
def test_a_safetensors_file_that_claims_what_it_does_not_hold_is_refused(tmp_path, header, cause):
    assert cause in refusal(read_tensors, safe_file(tmp_path / "a.safetensors", header, bytes(4)))


def archive(path, content, storages=(), method=zipfile.ZIP_STORED, **parts):
    """Writes the newer format around a pickle, with the bytes of each storage, and returns the path."""
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr("model/data.pkl", content)
        for name, part in parts.items():
            file.writestr(f"model/{name}", part)
        for key, data in storages:
            file.writestr(f"model/data/{key}", data)
    return path


def name_of(module, name):
    return b"c" + f"{module}\n{name}\n".encode()


def text(value):
    return b"X" + struct.pack("<L", len(value)) + value.encode()


def tensor(count, offset, shape, strides, key="0", kind="FloatStorage"):
    """Returns the opcodes that put a tensor together; counts are given as whole numbers of 4 bytes."""
    def numbers(values):
        return b"(" + b"".join(b"J" + struct.pack("<i", value) for value in values) + b"t"

    storage = (b"(" + text("storage") + name_of("torch", kind) + text(key) + text("cpu") + b"J"
               + struct.pack("<i", count) + b"tQ")
    return (name_of("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + b"J" + struct.pack("<i", offset)
            + numbers(shape) + numbers(strides) + b"\x89Nt" + b"R")


def state(*values):
    """Returns a pickle of a dict of values, which are given as opcodes."""
    return b"\x80\2}(" + b"".join(text(f"{i}.weight") + value for i, value in enumerate(values)) + b"u."


@pytest.mark.parametrize("module", ["torch", "torch.cuda"])  # the second is that of old files from a GPU
def test_the_small_pickles_of_these_tests_are_sound(tmp_path, module):
    content = state(tensor(6, 1, (2, 2), (2, 1))).replace(b"ctorch\nFloat", f"c{module}\nFloat".encode())
    path = archive(tmp_path / "a.pt", content, [("0", np.arange(6, dtype="<f4").tobytes())])
    assert read_tensors(path)[0]["0.weight"].tolist() == [[1, 2], [3, 4]]


TENSORS = {
    "a storage that is smaller than it says": (tensor(7, 0, (7,), (1,)), "claims 7 numbers"),
    "a storage that is not there": (tensor(1, 0, (1,), (1,), key="1"), "may be damaged"),
    "a storage elsewhere": (tensor(1, 0, (1,), (1,), key="../data.pkl"), "may be damaged"),
    "a shape that is larger": (tensor(6, 0, (7,), (1,)), "ends behind its storage"),
    "an offset that is larger": (tensor(6, 6, (1,), (1,)), "ends behind its storage"),
    "steps that are larger": (tensor(6, 0, (2,), (6,)), "ends behind its storage"),
    "a negative step": (tensor(6, 5, (2,), (-1,)), "no number of elements"),
    "a negative size": (tensor(6, 0, (-1,), (1,)), "no number of elements"),
    "a negative offset": (tensor(6, -1, (1,), (1,)), "no number of elements"),
    "another number of steps": (tensor(6, 0, (1, 1), (1,)), "other axes than steps"),
    "very many axes": (tensor(6, 0, (1,) * 99, (1,) * 99), "other axes than steps"),
    "one number a billion times": (tensor(6, 0, (2**15, 2**15), (0, 0)), "far more than such"),
    "a type that is not known": (tensor(6, 0, (1,), (1,), kind="QInt8Storage"), "torch.QInt8Storage"),
}


@pytest.mark.parametrize("name", TENSORS)
def test_a_tensor_that_is_not_within_its_storage_is_refused(tmp_path, name):
    opcodes, cause = TENSORS[name]
    assert cause in refusal(read_tensors, archive(tmp_path / "a.pt", state(opcodes), [("0", bytes(24))]))


class Call:
    """An object whose unpickling calls a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


PICKLES = {
    "a call": (lambda canary: pickle.dumps({"a": Call(open, str(canary), "w")}, 2), "io.open"),
    "a call in a newer protocol": (lambda canary: pickle.dumps({"a": Call(open, str(canary), "w")}, 4), "io.open"),
    "eval": (lambda canary: pickle.dumps(Call(eval, f"open({str(canary)!r}, 'w')"), 2), "__builtin__.eval"),
    "an attribute of what is known": (lambda _: b"\x80\4" + name_of("torch", "Size.mro") + b")R.", "torch.Size.mro"),
    "a call of no function": (lambda _: b"\x80\2}" + text("a") + b")Rs.", "a call of str"),
    "a call of a type": (lambda _: state(name_of("torch", "float16") + b")R"), "a call of Name"),
    "an object": (lambda _: b"\x80\2" + name_of("collections", "OrderedDict") + b")\x81.", "the opcode NEWOBJ"),
    "an extension": (lambda _: b"\x80\2\x82\1.", "the opcode EXT1"),
    "an instance": (lambda _: b"(i" + b"os\nsystem\n.", "the opcode INST"),
    "a set": (lambda _: b"\x80\4\x8f.", "the opcode EMPTY_SET"),
    "a state for a list": (lambda _: b"\x80\2]}b.", "may be damaged"),
    "a name that is a tuple": (lambda _: b"\x80\2})Ns.", "may be damaged"),
    "a memo of a billion places": (lambda _: b"\x80\2}r\xff\xff\xff\xff0.", "may be damaged"),
    "a text of 4 GB": (lambda _: b"\x80\2X\xff\xff\xff\xffa.", "may be damaged"),
    "a text of 2**63 bytes": (lambda _: b"\x80\4\x8d" + b"\xff" * 7 + b"\x7f.", "may be damaged"),
    "a number of 2 GB": (lambda _: b"\x80\2\x8b\xff\xff\xff\x7f\1.", "may be damaged"),
    "no end": (lambda _: b"\x80\2}", "may be damaged"),
    "nothing on the stack": (lambda _: b"\x80\2u.", "may be damaged"),
    "marks alone": (lambda _: b"\x80\2" + b"(" * 10**5 + b".", "may be damaged"),
    "no tensors": (lambda _: b"\x80\2]" + text("a") + b"a.", "holds no state dict"),
    "lists in lists": (lambda _: b"\x80\2}" + text("a") + b"]" * 10**4 + b"a" * (10**4 - 1) + b"s.", "a tensor was"),
    "lists of themselves": (lambda _: b"\x80\2}" + text("a") + b"]q\0h\0as.", "a tensor was expected"),
    # Each tuple holds the one before twice: 2**200 parts to whoever looks into it.
    "a laughing billion": (lambda _: b"\x80\2}" + text("a") + b")q\0" + b"h\0\x86q\0" * 200 + b"s.", "a tensor was"),
    "very many steps": (lambda _: b"\x80\2" + b"N0" * 150_000 + b"N.", "more than 250,000 steps"),
}


@pytest.mark.parametrize("format_", ["archive", "stream"])
@pytest.mark.parametrize("name", PICKLES)
def test_a_hostile_pickle_is_refused_at_once_and_calls_nothing(tmp_path, monkeypatch, name, format_):
    monkeypatch.setattr(weights.pickles, "MAX_OPCODES", 250_000)
    make, cause = PICKLES[name]
    canary, path = tmp_path / "canary", tmp_path / "a.pt"
    content = make(canary)
    if format_ == "archive":
        archive(path, content)
    else:
        start = [pickle.dumps(value, 2) for value in (MAGIC, 1001, {"little_endian": True})]
        path.write_bytes(b"".join(start) + content + pickle.dumps([], 2))
    begin = time.monotonic()
    assert cause in refusal(read_tensors, path).replace("builtins", "__builtin__")
    assert time.monotonic() - begin < SECONDS
    assert not canary.exists()


SOUND = state(tensor(6, 0, (6,), (1,)))


@pytest.mark.parametrize(("make", "cause"), [
    (lambda path: archive(path, SOUND, [("0", bytes(2**20))], zipfile.ZIP_DEFLATED), "more than the file holds"),
    (lambda path: archive(path, SOUND, [("0", bytes(24))], zipfile.ZIP_LZMA), "a method that is not unpacked"),
    (lambda path: archive(path, SOUND, [("0", bytes(24))], byteorder=b"big"), "another byte order"),
    (lambda path: archive(path, SOUND, [("0", bytes(24))], **{"constants.pkl": b""}), "TorchScript"),
    (lambda path: archive(path, SOUND, [("0", bytes(24)), ("0", bytes(24))]), "a part twice"),
    (lambda path: archive(path, SOUND, [(f"{i:0100d}", b"") for i in range(200)]), "far more parts"),
    (lambda path: zipfile.ZipFile(path, "w").close(), "damaged"),
])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_another_archive_than_pytorchs_is_refused(tmp_path, monkeypatch, make, cause):
    monkeypatch.setattr(weights.torch_files, "MAX_DIRECTORY", 2**14)
    make(tmp_path / "a.pt")
    assert cause in refusal(read_tensors, tmp_path / "a.pt")


def test_parts_that_lie_in_each_other_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as file:
        file.writestr("model/data.pkl", SOUND)
        file.writestr("model/data/0", bytes(10**5))
        for i in range(1, 99):  # in the table of contents alone, with the bytes of the first
            file.filelist.append(copy.copy(file.filelist[1]))
            file.filelist[-1].filename = f"model/data/{i}"
    assert "more than the file holds" in refusal(read_tensors, tmp_path / "a.pt")


@pytest.mark.parametrize("name", FILES)
def test_files_cut_or_changed_at_random_are_read_or_refused(tmp_path, name):
    whole, rng = (FIXTURES / name).read_bytes(), np.random.default_rng(0)
    path = tmp_path / name
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        assert refusal(read_tensors, path) is not None
    outcomes = []
    for _ in range(150):
        path.write_bytes(mutate_bytes(whole, rng))
        outcomes.append(refusal(read_tensors, path))
    assert any(outcomes)


def test_the_suffixes_that_are_read_are_named(tmp_path):
    (tmp_path / "model.ckpt").write_bytes(b"")
    with pytest.raises(UserError, match=r"model\.ckpt: is none of .*: \.safetensors, \.pt, \.pth, \.h5, \.hdf5"):
        weights.load_foreign(tmp_path / "model.ckpt")
