"""In small, what an attack on the suite does: kills at random moments, odd and hostile files; `make torture` runs it.

Kills must end in the same files, bit for bit, as a run in one go, and leave no process behind. Files must end in one
clear line each: no traceback, no hang, bounded memory, and nothing executed.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.conftest import ROOT, make_photo, save_photo

pytestmark = pytest.mark.slow

SEED = 20261125
SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MAX_MEMORY = 1.5 * 2**30  # bytes
TINY = ["--num-filters", "4", "--num-res-blocks", "1", "--batch-size", "2", "--iterations-per-epoch", "20"]


def run(argv, limit=120):
    """Runs a script to its end; returns the exit code, its output, its seconds, and its peak memory in bytes."""
    begin = time.monotonic()
    with open(os.devnull) as nothing:
        process = subprocess.Popen([sys.executable, *map(str, argv)], cwd=ROOT, stdin=nothing, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, errors="replace", text=True, start_new_session=True)
    timer = signal.signal(signal.SIGALRM, lambda *_: os.killpg(process.pid, signal.SIGKILL))
    signal.alarm(limit)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    signal.alarm(0)
    signal.signal(signal.SIGALRM, timer)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, output, time.monotonic() - begin, usage.ru_maxrss * 1024


def killed(argv, delay, number, seconds=60):
    """Starts a script, sends it a signal after `delay` seconds, and waits for its end; returns its output."""
    process = subprocess.Popen([sys.executable, *map(str, argv)], cwd=ROOT, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
    try:
        output, _ = process.communicate(timeout=delay)
        return output  # it was done before
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    output, _ = process.communicate(timeout=seconds)
    if number == signal.SIGKILL or process.returncode == 0:
        return output
    # Python itself is still starting where it ends by the signal.
    assert process.returncode in (128 + number, -number), output
    assert process.returncode == -number or "Traceback" not in output, output
    return output


def processes_of(folder):
    """Returns the command lines of living processes that name `folder`, but for this one."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in words and int(path.parent.name) != os.getpid() and "pytest" not in words:
            found.append(words)
    return found


def assert_no_process_left(folder, seconds=5):
    deadline = time.monotonic() + seconds
    while (left := processes_of(folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []


def outcome(folder):
    """Returns what a training left: its history, and the arrays of its state."""
    (table,) = [path.read_text() for path in folder.glob("*.csv") if "steps" not in path.name]
    with np.load(folder / "state" / "state.npz", allow_pickle=False) as state:
        return table, {name: state[name] for name in state.files if name != "progress"}


def assert_same(ours, theirs):
    assert ours[0] == theirs[0]
    assert set(ours[1]) == set(theirs[1])
    for name in ours[1]:
        assert np.array_equal(ours[1][name], theirs[1][name], equal_nan=True), name


def vgg_file(path):
    """Writes random weights in the layout of a Keras VGG19 file, and returns the path."""
    import keras

    vgg = keras.applications.VGG19(include_top=False, weights=None, input_shape=(None, None, 3))
    with h5py.File(path, "w") as file:
        layers = [layer for layer in vgg.layers if layer.weights]
        file.attrs["layer_names"] = [layer.name for layer in layers]
        for layer in layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{weight.name}:0" for weight in layer.weights]
            group.attrs["weight_names"] = names
            for name, array in zip(names, layer.get_weights(), strict=True):
                group[name] = array
    return path


@pytest.mark.parametrize(("script", "options", "kills"), [
    ("train.py", ["--profile", "wdsr-b-8", "--patch-size", "12", "--validation-steps", "2", "--epochs", "3"], 12),
    ("train_gan.py", ["--generator", "edsr-gen", "--scale", "2", "--hr-patch-size", "32", "--content-loss", "vgg22",
                      "--discriminator-filters", "2", "--epochs", "2"], 6),
])
def test_a_training_that_is_killed_again_and_again_ends_as_in_one_go(dataset, tmp_path, script, options, kills):
    argv = [script, "-d", dataset, *TINY, *options]
    if script == "train_gan.py":
        argv += ["--vgg-weights", vgg_file(tmp_path / "vgg19.h5")]
    code, output, whole, _ = run([*argv, "-o", tmp_path / "whole"], 400)
    assert code == 0, output
    (expected,) = (tmp_path / "whole").iterdir()
    rng = random.Random(SEED)
    for i in range(kills):
        outdir = tmp_path / f"killed-{i}"
        killed([*argv, "-o", outdir], rng.uniform(0, whole), rng.choice(SIGNALS))
        assert_no_process_left(outdir)
        runs = list(outdir.iterdir()) if outdir.exists() else []
        states = [folder for folder in runs if (folder / "state" / "state.npz").exists()]
        again = [script, "--resume", states[0]] if states else [*argv, "-o", outdir]
        code, output, _, _ = run(again, 400)
        done = code == 1 and "has done its" in output
        assert code == 0 or done, output
        folder = states[0] if states else max(outdir.iterdir())
        assert_same(outcome(folder), outcome(expected))
        assert not list(folder.rglob("*.part*"))


@pytest.mark.parametrize(("script", "kills"), [("convert.py", 16), ("demo.py", 16)])
def test_a_folder_that_is_killed_again_and_again_ends_as_in_one_go(tmp_path, script, kills):
    for i in range(12):
        save_photo(tmp_path / "photos" / f"{i}.png", make_photo(90 + i, 120, seed=i))
    argv = {"convert.py": ["convert.py", "numpy", "-i", tmp_path / "photos", "--num-workers", "2"],
            "demo.py": ["demo.py", "-i", tmp_path / "photos", "-s", "2", "--skip-existing"]}[script]
    code, output, whole, _ = run([*argv, "-o", tmp_path / "whole"])
    assert code == 0, output
    expected = {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}
    rng = random.Random(SEED)
    for i in range(kills):
        outdir = tmp_path / f"killed-{i}"
        killed([*argv, "-o", outdir], rng.uniform(0, whole), rng.choice(SIGNALS))
        assert_no_process_left(outdir)
        for path in outdir.iterdir() if outdir.exists() else ():
            if not path.name.startswith("."):
                assert path.read_bytes() == expected[path.name], f"{path} is half written"
        code, output, _, _ = run([*argv, "-o", outdir])
        assert code == 0, output
        assert {path.name: path.read_bytes() for path in outdir.iterdir()} == expected


def mutated(content, rng):
    """Returns bytes with a few changed, cut, doubled or inserted."""
    content = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        place, kind = rng.randrange(len(content)), rng.randrange(4)
        if kind == 0:
            content[place] = rng.randrange(256)
        elif kind == 1:
            content[place:place + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"))
        elif kind == 2:
            del content[place:place + rng.randrange(1, 64)]
        else:
            content[place:place] = content[place:place + rng.randrange(1, 64)]
    return bytes(content)


def hostile_config(canary):
    """Returns the configuration of a model whose layers would run what its author chose."""
    touch = f"__import__('pathlib').Path({str(canary)!r}).touch()"
    function = {"class_name": "function", "config": "set_dtype_policy", "module": "keras.config",
                "registered_name": "function"}
    code = {"class_name": "__lambda__", "config": {"code": touch, "defaults": None, "closure": None}}
    return [{"class_name": "Lambda", "config": {"name": "bad", "function": what, "arguments": {"policy": "float16"}},
             "inbound_nodes": []} for what in (function, code, touch)]


def test_odd_and_hostile_models_cost_one_line_each(tmp_path):
    rng, folder, canary = random.Random(SEED), tmp_path / "models", tmp_path / "canary"
    folder.mkdir()
    sound = ROOT / "pretrained" / "wdsr-b-8-x2.keras"
    with zipfile.ZipFile(sound) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    for i in range(30):
        (folder / f"bytes-{i:02d}.keras").write_bytes(mutated(sound.read_bytes(), rng))
    for i in range(30):
        text = mutated(members["config.json"], rng)
        write_archive(folder / f"config-{i:02d}.keras", members | {"config.json": text})
    for i, layer in enumerate(hostile_config(canary)):
        layers = [*config["config"]["layers"], layer]
        text = json.dumps(config | {"config": config["config"] | {"layers": layers}}).encode()
        write_archive(folder / f"hostile-{i}.keras", members | {"config.json": text})
    write_archive(folder / "deep.keras", members | {"config.json": b"[" * 100_000})
    keras2 = ROOT / "tests" / "fixtures" / "keras2-edsr.h5"
    for i in range(20):
        (folder / f"h5-{i:02d}.h5").write_bytes(mutated(keras2.read_bytes(), rng))
    save_photo(tmp_path / "images" / "a.png", make_photo(24, 24))
    (folder / "sound.keras").write_bytes(sound.read_bytes())
    count = len(list(folder.iterdir()))
    code, output, seconds, memory = run(["evaluate.py", "-i", folder, "--images", tmp_path / "images", "-o",
                                         tmp_path / "eval.json"], 10 * count)
    assert "Traceback" not in output
    assert code in (0, 1), output
    assert seconds < 10 * count
    assert memory < MAX_MEMORY, memory
    assert not canary.exists()
    assert "sound.keras" in json.loads((tmp_path / "eval.json").read_text())
    failed = re.findall(r"^failed: .*?([\w-]+\.(?:keras|h5))", output, re.MULTILINE)
    assert {f"hostile-{i}.keras" for i in range(3)} | {"deep.keras"} <= set(failed)


def write_archive(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.mark.parametrize("argv", [
    ["demo.py", "-s", "2"], ["convert.py", "numpy", "--num-workers", "2"], ["convert.py", "dataset", "--scales", "2"],
])
def test_odd_images_cost_one_line_each(tmp_path, argv):
    from PIL import Image

    rng, folder = random.Random(SEED), tmp_path / "images"
    folder.mkdir()
    picture = Image.fromarray(make_photo(40, 48))
    for suffix in ("png", "jpg", "webp", "tif", "bmp"):
        picture.save(tmp_path / f"sound.{suffix}")
        content = (tmp_path / f"sound.{suffix}").read_bytes()
        for i in range(24):
            (folder / f"{suffix}-{i:02d}.{suffix}").write_bytes(mutated(content, rng))
    (folder / "empty.png").touch()
    (folder / "text.jpg").write_text("no image")
    os.mkfifo(folder / "pipe.png")
    picture.save(folder / "sound.png")
    count = len(list(folder.iterdir()))
    code, output, seconds, memory = run([*argv, "-i", folder, "-o", tmp_path / "out"], 10 * count)
    assert "Traceback" not in output
    assert code in (0, 1), output
    assert seconds < 10 * count
    assert memory < MAX_MEMORY, memory
    sound = list((tmp_path / "out").rglob("sound*"))
    assert sound or (tmp_path / "out" / "images.csv").exists()
