import json
import os

import pytest

from datasets.sources import RECORD_FILE, SourceRecord, source_state


@pytest.fixture
def made(tmp_path):
    """Three pairs of a file and its source; that they are made is recorded."""
    pairs = [(tmp_path / f"{name}.npy", tmp_path / f"{name}.png") for name in "abc"]
    with SourceRecord(tmp_path) as record:
        for target, source in pairs:
            target.touch()
            source.touch()
            record.note(target, source_state(source))
    return pairs


def outdated(folder, pairs):
    with SourceRecord(folder) as record:
        return [target.stem for target, source in pairs if record.is_outdated(target, source)]


def test_what_was_noted_is_up_to_date_until_its_source_changes(made, tmp_path):
    assert outdated(tmp_path, made) == []
    os.utime(made[0][1], (1, 1))
    status = made[1][1].stat()
    made[1][1].write_text("another size")
    os.utime(made[1][1], ns=(status.st_atime_ns, status.st_mtime_ns))
    assert outdated(tmp_path, made) == ["a", "b"]
    made[2][0].unlink()
    assert outdated(tmp_path, made) == ["a", "b", "c"]


def test_a_source_that_is_gone_is_left_to_whoever_reads_it(made, tmp_path):
    made[0][1].unlink()
    assert outdated(tmp_path, made) == ["a"]


@pytest.mark.parametrize("spoil", [
    lambda text: b"\xff\x00garbage[", lambda text: b"[" * 10**5, lambda text: b'["a.npy"]\n5\n[[], 1, 2]\n{}',
    lambda text: text[:len(text) // 2], lambda text: b"", lambda text: b"[" + b"9" * 5000 + b"]"])
def test_what_a_damaged_record_does_not_say_is_made_again(made, tmp_path, spoil):
    record = tmp_path / RECORD_FILE
    record.write_bytes(spoil(record.read_bytes()))
    names = outdated(tmp_path, made)
    assert names in (["a", "b", "c"], ["b", "c"])
    with SourceRecord(tmp_path) as record:
        for target, source in made:
            record.note(target, source_state(source))
    assert outdated(tmp_path, made) == []


def test_a_record_has_each_file_once_in_order_however_often_it_was_made(made, tmp_path):
    whole = (tmp_path / RECORD_FILE).read_bytes()
    for target, source in reversed(made * 3):
        with SourceRecord(tmp_path) as record:
            record.note(target, source_state(source))
    assert (tmp_path / RECORD_FILE).read_bytes() == whole
    assert [json.loads(line)[0] for line in whole.decode().splitlines()] == ["a.npy", "b.npy", "c.npy"]


def test_what_was_noted_before_the_work_was_broken_off_is_kept(made, tmp_path):
    (tmp_path / RECORD_FILE).write_text("")
    with pytest.raises(KeyError), SourceRecord(tmp_path) as record:
        record.note(made[1][0], source_state(made[1][1]))
        raise KeyError
    assert outdated(tmp_path, made) == ["a", "c"]
