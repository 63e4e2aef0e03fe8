import hashlib
import http.server
import threading
import zipfile

import pytest

from datasets.archives import ARCHIVES, archive_names, fetch, unpack
from errors import UserError

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
