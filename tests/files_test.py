import pytest

from errors import UserError
from files import atomic_path, make_folder, write_text


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
        assert not path.exists()
        temporary.write_bytes(b"1")
    assert [p.name for p in path.parent.iterdir()] == ["image.png"]


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path):
    (tmp_path / "output").write_text("")
    for path in (tmp_path / "output", tmp_path / "output" / "below"):
        with pytest.raises(UserError, match=f"{path}: cannot be a folder"):
            make_folder(path)
