import functools
import hashlib
import http.server
import io
import threading
import zipfile

import numpy as np
import pytest
from PIL import Image

import convert
from data import find_training_pairs
from datasets import archives
from datasets.archives import ARCHIVES, archive_names, fetch, unpack
from errors import UserError
from tests.conftest import assert_one_line_error, make_photo

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT, from where a range begins; `cut` ends an answer early, `ranges` says whether it knows them."""

    cut, ranges, asked = None, True, []

    def do_GET(self):
        start = self.headers.get("Range")
        self.asked.append(start)
        if self.path != "/file.zip":
            self.send_error(404)
            return
        first = int(start.split("=")[1].rstrip("-")) if start and self.ranges else 0
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(CONTENT) - first))
        self.end_headers()
        self.wfile.write(CONTENT[first:self.cut])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    class Handler(Server):
        asked = []

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        Handler.address = f"http://127.0.0.1:{listening.server_port}/file.zip"
        yield Handler
        listening.shutdown()
        thread.join()


def test_a_file_is_fetched_once_with_progress(server, tmp_path):
    path, sizes = tmp_path / "new" / "file.zip", []
    for _ in range(2):
        fetch(server.address, path, len(CONTENT), SHA256, sizes.append)
        assert path.read_bytes() == CONTENT
        assert sum(sizes) == len(CONTENT)
        sizes.clear()
    assert server.asked == [None]
    assert [file.name for file in path.parent.iterdir()] == ["file.zip"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_fetch_that_was_cut_off_goes_on(server, tmp_path, ranges):
    path, sizes = tmp_path / "file.zip", []
    server.cut = 300_000
    with pytest.raises(UserError, match="300,000 of 1,048,576 bytes: try again"):
        fetch(server.address, path, len(CONTENT), SHA256)
    assert [file.name for file in tmp_path.iterdir()] == ["file.zip.part"]
    server.cut, server.ranges = None, ranges
    fetch(server.address, path, len(CONTENT), SHA256, sizes.append)
    assert path.read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=300000-"
    assert sum(sizes) == len(CONTENT)


def test_another_file_than_expected_is_removed(server, tmp_path):
    with pytest.raises(UserError, match="is not the file that was expected"):
        fetch(server.address, tmp_path / "file.zip", len(CONTENT), "0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_have_it_or_does_not_answer_is_named(server, tmp_path):
    with pytest.raises(UserError, match=r"missing\.zip: the server answers 404"):
        fetch(server.address.replace("file.zip", "missing.zip"), tmp_path / "file.zip", 9, SHA256)
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9/file\.zip: cannot be fetched \(.*refused"):
        fetch("http://127.0.0.1:9/file.zip", tmp_path / "file.zip", 9, SHA256)


def test_images_are_unpacked_and_nothing_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("DIV2K_train_HR/0001.png", "DIV2K_train_HR/._0001.png", "__MACOSX/0001.png", "note.txt"):
            archive.writestr(name, name)
    for _ in range(2):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    files = [path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert files == ["DIV2K_train_HR/0001.png"]


def test_a_name_that_leads_out_of_the_folder_and_a_damaged_archive_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("../outside.png", "x")
    with pytest.raises(UserError, match=r"a\.zip: holds the name \.\./outside\.png"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    (tmp_path / "b.zip").write_bytes(b"PK no archive")
    with pytest.raises(UserError, match=r"b\.zip: is damaged"):
        unpack(tmp_path / "b.zip", tmp_path / "out")
    assert not (tmp_path / "outside.png").exists()


def test_the_archives_of_each_downgrade_are_known():
    names = archive_names(["bicubic", "unknown", "mild"], [2, 4, 8])
    assert names[:2] == ["DIV2K_train_HR", "DIV2K_valid_HR"]
    assert set(names) <= set(ARCHIVES)
    assert {name.split("LR_")[1] for name in names[2:]} == {
        "bicubic_X2", "bicubic_X4", "x8", "unknown_X2", "unknown_X4", "mild"}
    with pytest.raises(UserError, match="no archive of mild at scale 2, 3"):
        archive_names(["mild"], [2, 3])


@pytest.fixture
def div2k(tmp_path, monkeypatch):
    """Serves archives as DIV2K's, of small images; yields their address, their images by name, and what was asked."""
    images, asked, table = {}, [], {}
    (tmp_path / "served").mkdir()
    for name in (f"{subset}_{kind}" for kind in ("HR", "LR_bicubic_X2", "LR_mild") for subset in ("train", "valid")):
        image_id = "0001" if name.startswith("train") else "0801"
        folder, ending = {"HR": ("", ""), "X2": ("/X2", "x2"), "ld": ("", "x4m")}[name[-2:]]
        member = f"DIV2K_{name.removesuffix('_X2')}{folder}/{image_id}{ending}.png"
        factor = {"": 1, "x2": 2, "x4m": 4}[ending]
        images[member] = make_photo(40 // factor, 48 // factor, seed=len(images))
        content = io.BytesIO()
        Image.fromarray(images[member]).save(content, "png")
        path = tmp_path / "served" / f"DIV2K_{name}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(member, content.getvalue())
        table[path.stem] = path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(archives, "ARCHIVES", table)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    handler = functools.partial(Handler, directory=tmp_path / "served")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}", images, asked
        listening.shutdown()
        thread.join()


@pytest.mark.slow
def test_div2k_is_fetched_and_becomes_a_data_set_that_can_be_trained_on(run_main, div2k, tmp_path):
    address, images, asked = div2k
    argv = ["div2k", "-i", tmp_path / "DIV2K", "-o", tmp_path / "BIN", "--address", address + "/"]
    code, out, _ = run_main(convert, *argv, "--scales", 2)
    assert code == 0
    assert "4 images converted" in out
    assert f"{address}/DIV2K_train_HR.zip: 0 MB" in out
    assert run_main(convert, *argv, "--downgrade", "bicubic", "mild", "--scales", 2, 4)[0] == 0
    for downgrade, scale, lr in (("bicubic", 2, "LR_bicubic/X2/{}x2"), ("mild", 4, "LR_mild/{}x4m")):
        pairs = find_training_pairs(tmp_path / "BIN", scale, downgrade)
        for subset, image_id, (pair,) in zip(("train", "valid"), ("0001", "0801"), pairs, strict=True):
            assert np.array_equal(pair.hr.read(), images[f"DIV2K_{subset}_HR/{image_id}.png"])
            assert np.array_equal(pair.lr.read(), images[f"DIV2K_{subset}_{lr.format(image_id)}.png"])
    assert len(asked) == 6  # each archive once


def test_a_fetch_of_div2k_that_failed_goes_on_and_images_that_are_beside_it_are_not_converted(
        run_main, div2k, tmp_path):
    address, _, asked = div2k
    argv = ["div2k", "-i", tmp_path / "DIV2K", "-o", tmp_path / "BIN", "--scales", 2, "--address", address]
    hidden = tmp_path / "served" / "DIV2K_valid_HR.zip"
    hidden.rename(tmp_path / "hidden.zip")
    assert_one_line_error(run_main(convert, *argv), f"{address}/DIV2K_valid_HR.zip", "404")
    (tmp_path / "hidden.zip").rename(hidden)
    Image.fromarray(make_photo(8, 8)).save(tmp_path / "DIV2K" / "mine.png")
    code, out, _ = run_main(convert, *argv)
    assert code == 0
    assert "4 images converted" in out
    assert asked.count("/DIV2K_train_HR.zip") == 1
    assert not (tmp_path / "BIN" / "mine.npy").exists()


def test_a_downgrade_that_div2k_lacks_is_refused_before_anything_is_fetched(run_main, tmp_path):
    result = run_main(convert, "div2k", "-i", tmp_path / "DIV2K", "-o", tmp_path / "BIN", "--downgrade", "foggy")
    assert_one_line_error(result, "DIV2K has no archive of foggy")
    assert not (tmp_path / "BIN").exists()
