"""The shipped models, their list, and which of them is taken."""

import hashlib
import http.server
import subprocess
import sys
import threading
import zipfile

import numpy as np
import pytest

import convert
import demo
import pretrained
import weights
from errors import UserError
from model import wdsr_b
from super_resolution import load
from super_resolution.loading import default_model, model_path
from tests.conftest import ROOT, assert_one_line_error, make_photo, save_photo

KEYS = {"scale", "network", "parameters", "default_for", "data", "steps", "command", "licence", "sha256", "results"}


def test_the_list_names_every_file_with_its_digest_and_figures():
    models = pretrained.models()
    assert set(models) == {path.stem for path in pretrained.FOLDER.glob("*.keras")}
    for name, entry in models.items():
        assert set(entry) == KEYS
        assert name.endswith(f"-x{entry['scale']}")
        assert entry["sha256"] == hashlib.sha256(pretrained.path_of(name).read_bytes()).hexdigest()
        assert {"Set5", "Set14", "Set14 JPEG 75"} <= set(entry["results"])
        assert not entry["default_for"] or "gan" not in name
    assert sum(path.stat().st_size for path in pretrained.FOLDER.iterdir() if path.is_file()) < 12e6


def test_the_readme_has_the_figures_of_the_list():
    lines = (ROOT / "README.md").read_text().splitlines()
    for name, entry in pretrained.models().items():
        row, *robust = [line.split("|")[1:-1] for line in lines if line.startswith(f"| `{name}`")]
        cells = [f" {psnr:.2f} / {ssim:.4f} ".replace(" 0.", " .")
                 for psnr, ssim in (entry["results"][images] for images in ("Set5", "Set14"))]
        assert row[1:3] + row[4:] == [f" {entry['scale']} ", f" {entry['parameters']:,} ", *cells]
        conditions = "Set14", "Set14 JPEG 90", "Set14 JPEG 75", "Set14 JPEG 50", "Set14 noise 10"
        assert [row[1:] for row in robust] == [[f" {entry['results'][images][0]:.2f} " for images in conditions]
                                               for _ in range(entry["scale"] in (2, 4))]


def test_one_model_of_a_scale_is_the_default_for_a_kind_of_images():
    for scale in (2, 3, 4):
        for kind in ("lossless", "lossy"):
            found = [name for name, entry in pretrained.models().items()
                     if entry["scale"] == scale and kind in entry["default_for"]]
            assert len(found) == 1 or (kind == "lossy" and not found)
            if found:
                assert pretrained.default_path(scale, kind == "lossy") == pretrained.path_of(found[0])


def test_a_file_of_any_suffix_gets_a_model(tmp_path):
    for name in ("a.gif", "a.foo", "a"):
        assert default_model(4, tmp_path / name) == pretrained.default_path(4)


@pytest.mark.slow
def test_jpeg_photos_get_the_photo_model_and_lossless_ones_another(run_main, tmp_path):
    for name in ("a.png", "b.jpg", "c.webp"):
        save_photo(tmp_path / "in" / name, make_photo(9, 12))
    code, out, _ = run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "--compare")
    lossless, lossy = (pretrained.default_path(4, is_lossy).stem for is_lossy in (False, True))
    assert lossless != lossy
    assert code == 0
    assert f"{lossless}: x4, 1 PNG image\n" in out
    assert f"{lossy}: x4, 2 JPEG and WebP images\n" in out
    assert "images: 3 super-resolved" in out
    page = (tmp_path / "out" / "index.html").read_text()
    assert lossless in page
    assert lossy in page
    _, out, _ = run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "out", "--skip-existing")
    assert "images: 0 super-resolved, 3 already there" in out
    _, out, _ = run_main(demo, "-i", tmp_path / "in", "-o", tmp_path / "one", "--model", lossless)
    assert f"{lossless}: x4\n" in out
    assert lossy not in out


def test_the_shipped_models_are_listed(run_main):
    _, out, _ = run_main(demo, "--list-models")
    for name, entry in pretrained.models().items():
        assert f"{name}: x{entry['scale']}, " in out
        assert f"Set5 {entry['results']['Set5'][0]:.2f} dB" in out


def test_the_names_of_the_shipped_models_are_known_without_keras():
    code = "import sys, pretrained; print(pretrained.names()); assert not {'keras', 'numpy'} & set(sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "wdsr-b-8-x4" in output.stdout, output.stderr


def test_a_model_in_float16_is_small_and_loaded_in_float32(run_main, tmp_path):
    network = wdsr_b(2, 6, 2)
    weights.save(network, tmp_path / "whole.keras")
    argv = "float16", "-i", tmp_path / "whole.keras", "-o", tmp_path / "half.keras"
    assert run_main(convert, *argv)[0] == 0
    half = weights.load(tmp_path / "half.keras")
    assert (tmp_path / "half.keras").stat().st_size < 0.5 * (tmp_path / "whole.keras").stat().st_size
    assert {variable.dtype for variable in half.variables} == {"float32"}
    for array, exact in zip(half.get_weights(), network.get_weights(), strict=True):
        assert np.array_equal(array, exact.astype("float16").astype("float32"))
    network.set_weights([array + 1e5 for array in network.get_weights()])
    weights.save(network, tmp_path / "whole.keras")
    assert_one_line_error(run_main(convert, *argv), "weights that are too large for float16")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A stand-in for the hub that has the model me/small, and the paths that it was asked for."""
    weights.save(wdsr_b(2, 4, 1), tmp_path / "small.keras")
    with zipfile.ZipFile(tmp_path / "small.keras") as archive:
        parts = {f"/me/small/resolve/main/{name}": archive.read(name) for name in archive.namelist()}
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200 if self.path in parts else 404)
            self.end_headers()
            self.wfile.write(parts.get(self.path, b""))

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{listening.server_port}")
        yield asked
        listening.shutdown()


def test_a_model_on_the_hub_is_fetched_once_and_checked_as_a_file_is(hub, tmp_path):
    for _ in range(2):
        super_resolve = load("hf://me/small")
        assert super_resolve.scale == 2
        assert super_resolve.name == "small"
    assert len(hub) == 2
    config = model_path("hf://me/small", None) / "config.json"
    config.write_text(config.read_text().replace("Conv2D", "TFSMLayer"))
    with pytest.raises(UserError, match=r"small: cannot be loaded as a Keras model: .*TFSMLayer"):
        load("hf://me/small")


@pytest.mark.parametrize(("address", "cause"), [("hf://me/gone", "cannot be downloaded.*404"),
                                                ("hf://me", "is no address of a model: give hf://NAME/MODEL"),
                                                ("hf://../..", "is no address of a model")])
def test_an_address_that_does_not_work_is_named(hub, address, cause):
    with pytest.raises(UserError, match=f"{address}: {cause}"):
        load(address)
