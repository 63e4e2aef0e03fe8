import os
import platform
import stat
import subprocess
import sys
import threading
import zlib

import pytest

from errors import UserError, describe
from files import (
    WriteError,
    atomic_folder,
    atomic_path,
    is_temporary,
    make_folder,
    read_text,
    remove_leftovers,
    write_csv,
    write_text,
)
from tests.conftest import ROOT


def test_a_failed_write_leaves_the_older_file_and_nothing_else(tmp_path):
    path = tmp_path / "result.txt"
    write_text(path, "older")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "older"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_name_keeps_the_suffix_and_is_renamed(tmp_path):
    path = tmp_path / "folder" / "image.png"
    with atomic_path(path) as temporary:
        assert temporary.suffix == ".png"
        assert is_temporary(temporary)
        assert not path.exists()
        temporary.write_bytes(b"1")
    assert [p.name for p in path.parent.iterdir()] == ["image.png"]


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path):
    (tmp_path / "output").write_text("")
    for path in (tmp_path / "output", tmp_path / "output" / "below"):
        with pytest.raises(UserError, match=f"{path}: cannot be a folder"):
            make_folder(path)


def test_a_symbolic_link_stays_and_its_target_is_replaced(tmp_path):
    target, link = tmp_path / "elsewhere" / "target.txt", tmp_path / "link.txt"
    link.symlink_to(target)
    for text in ("made through a link to nothing", "replaced"):
        write_text(link, text)
        assert link.is_symlink()
        assert not target.is_symlink()
        assert target.read_text() == text
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["link.txt", "target.txt"]


def test_a_loop_of_links_and_a_folder_are_named(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name, cause in (("loop", "symbolic links"), ("", "Is a directory")):
        with pytest.raises(WriteError, match=f"{tmp_path / name}: cannot be written: .*{cause}"):
            write_text(tmp_path / name, "")


def test_a_pipe_is_written_to_and_stays(tmp_path):
    pipe = tmp_path / "pipe.txt"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_text(pipe, "through the pipe")
    reader.join(10)
    assert read == ["through the pipe"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_full_device_is_an_error_and_stays():
    with pytest.raises(WriteError, match="/dev/full: cannot be written: No space left"):
        write_text("/dev/full", "text")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def test_stdout_in_a_file_is_written_to_where_it_is(tmp_path):
    code = "import files; print('before'); files.write_text('/dev/stdout', 'text\\n'); print('after')"
    with open(tmp_path / "out.txt", "w") as out:
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=out, check=True)
    assert (tmp_path / "out.txt").read_text() == "before\ntext\nafter\n"


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o444])
def test_a_file_that_is_replaced_passes_on_its_permissions(tmp_path, mode):
    path = tmp_path / "result.txt"
    path.write_text("older")
    path.chmod(mode)
    write_text(path, "newer")
    assert path.read_text() == "newer"
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_new_file_has_the_usual_permissions(tmp_path):
    umask = os.umask(0o027)
    try:
        write_text(tmp_path / "new.txt", "")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "new.txt").stat().st_mode) == 0o640


def test_the_folder_is_synced_after_the_rename(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync

    def watched(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            synced.append((tmp_path / "a.txt").exists())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    write_text(tmp_path / "a.txt", "")
    assert synced == [True]


@pytest.mark.parametrize("name", ["n" * 251 + ".png", "n" * 255, "n." + "s" * 253, "ö" * 125 + "x.npy",
                                  os.fsdecode(b"\xff" * 251 + b".png")])
def test_names_of_255_bytes_are_written(tmp_path, name):
    with atomic_path(tmp_path / name) as temporary:
        assert is_temporary(temporary)
        temporary.write_text("content")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_two_long_names_with_the_same_beginning_have_two_temporary_files(tmp_path):
    with atomic_path(tmp_path / ("n" * 250 + "1")) as one, atomic_path(tmp_path / ("n" * 250 + "2")) as two:
        assert one != two
        for path in (one, two):
            path.write_text(path.name)


@pytest.fixture
def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_dead_processes_left_is_removed_and_nothing_else(tmp_path, dead_pid):
    host = f"{zlib.crc32(platform.node().encode()):08x}"
    kept = [f".a.{os.getpid()}-{host}.part.png", f".a.{os.getppid()}.part.png", f".a.{dead_pid}-00000000.part.png",
            f"a.{dead_pid}.part.png", ".a.part.png", f".a.{dead_pid}.png"]
    for name in (*kept, f".a.b.{dead_pid}-{host}.part.png", f".a.{dead_pid}.part.keras", f".a.{dead_pid}-{host}.part"):
        (tmp_path / name).write_text("")
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(kept)


@pytest.mark.parametrize("start", [make_folder, lambda folder: write_text(folder / "a.txt", "")])
def test_a_folder_is_tidied_when_a_script_starts_to_write_to_it(tmp_path, dead_pid, start):
    left = tmp_path / f".a.{dead_pid}.part.png"
    left.write_text("")
    start(tmp_path)
    assert not left.exists()


def test_names_that_are_not_utf8_keep_their_bytes_in_files(tmp_path):
    name = os.fsdecode(b"\xff\n\xe9.png")
    write_csv(tmp_path / "a.csv", ["name"], [{"name": name}])
    write_text(tmp_path / "a.txt", name)
    assert (tmp_path / "a.csv").read_bytes() == b'name\r\n"\xff\n\xe9.png"\r\n'
    assert read_text(tmp_path / "a.txt") == name


def test_a_pipe_is_not_opened_to_be_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="is no regular file"):
        read_text(tmp_path / "pipe")


def test_control_characters_of_a_name_are_escaped_in_an_error():
    assert describe(UserError("a\nb\x1b[2J\x85\u202e.png: bad")) == r"a\nb\x1b[2J\x85\u202e.png: bad"
    assert describe(FileNotFoundError(2, "No such file", "a\r.png")) == r"a\r.png: No such file"


def test_a_folder_is_replaced_as_a_whole_or_not_at_all(tmp_path):
    path = tmp_path / "above" / "folder"
    for name in ("older", "newer"):
        with atomic_folder(path) as temporary:
            assert is_temporary(temporary)
            (temporary / name).touch()
    with pytest.raises(RuntimeError), atomic_folder(path) as temporary:
        (temporary / "half").touch()
        raise RuntimeError
    assert list(path.parent.iterdir()) == [path]
    assert [file.name for file in path.iterdir()] == ["newer"]


def test_a_folder_keeps_its_name_where_it_cannot_be_replaced(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    with pytest.raises(WriteError, match=f"{path}: cannot be written"), atomic_folder(path) as temporary:
        temporary.rmdir()
    assert list(tmp_path.iterdir()) == [path]


def test_folders_of_dead_processes_are_removed(tmp_path, dead_pid):
    (tmp_path / f".a.{dead_pid}.part" / "below").mkdir(parents=True)
    remove_leftovers(tmp_path)
    assert not list(tmp_path.iterdir())
