"""What the tests share: a backend of their own, small data sets, and running a script's main in this process."""

import os
import signal
import tempfile
from pathlib import Path
from unittest.mock import patch

# Set before Keras is imported, so that neither the environment nor ~/.keras/keras.json of a user changes the tests.
os.environ["KERAS_BACKEND"] = os.environ.get("SR_TEST_BACKEND", "tensorflow")
os.environ["KERAS_HOME"] = tempfile.mkdtemp(prefix="keras-home-")
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
if "PYTEST_XDIST_WORKER" in os.environ:  # there is one such process for each core
    os.environ.update(dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "1"))

# A runner that outlives its terminal ignores SIGHUP, and the scripts under test would inherit that.
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def test_data():
    """The folder of real images, named by SR_TEST_DATA; without it the test is skipped."""
    folder = os.environ.get("SR_TEST_DATA")
    if not folder:
        pytest.skip("SR_TEST_DATA names no folder of real images")
    return Path(folder)


def make_photo(height, width, seed=0):
    """Returns a smooth random image (H, W, 3), uint8, with the whole range of values."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(seed).normal(size=(height, width, 3))
    smooth = gaussian_filter(noise, (2, 2, 0), mode="wrap")
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return np.round(smooth * 255).astype(np.uint8)


def save_photo(path, image):
    """Writes an image file and returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    """A data set made by convert.py: 6 photos for training, 2 for validation, of several sizes, scales 2, 3, 4."""
    import convert

    folder = tmp_path_factory.mktemp("dataset")
    for i in range(8):
        save_photo(folder / "photos" / f"photo-{i}.png", make_photo(60 + 7 * i, 90 - 5 * i, seed=i))
    argv = ["dataset", "-i", str(folder / "photos"), "-o", str(folder / "BIN"), "--validation-fraction", "0.25",
            "--seed", "6"]
    assert convert.main(convert.parse_args(argv)) == 0
    return folder / "BIN"


@pytest.fixture
def run_main(capsys, request):
    """Runs a script's main as the command line does: run_main(train, "--epochs", 1) -> (exit code, stdout, stderr).

    The report of a test that fails shows all of it.
    """
    from command_line import run

    def run_main(script, *argv):
        argv = [str(word) for word in argv]
        args = script.parse_args(argv) if hasattr(script, "parse_args") else script.parser().parse_args(argv)
        with patch.dict(os.environ):  # what a training sets would else reach the processes of later tests
            code = run(script.main, args)
        output = capsys.readouterr()
        request.node.add_report_section("call", f"{script.__name__} {' '.join(argv)}: exit code {code}",
                                        output.out + output.err)
        return code, output.out, output.err

    return run_main


def run_quietly(script, *argv):
    """Runs a script's main in this process for a fixture of any scope; it must succeed."""
    from command_line import run

    with patch.dict(os.environ):
        assert run(script.main, script.parse_args([str(word) for word in argv])) == 0


def assert_one_line_error(result, *parts):
    """Asserts that a script failed with one line that contains every one of `parts`, and no traceback."""
    code, _, err = result
    lines = [line for line in err.splitlines() if "error: " in line]
    assert code == 1
    assert len(lines) == 1, err
    assert "Traceback" not in err
    for part in parts:
        assert str(part) in lines[0]


def to_numpy(tensor):
    """Returns a backend's tensor as an array."""
    import keras

    return keras.ops.convert_to_numpy(tensor)
