"""Which state of its source each file of a folder was made from, so that it is made again when that has changed."""

import json
from pathlib import Path

from files import read_text, write_text

RECORD_FILE = ".convert-sources"


class SourceRecord:
    """Size and time of the source of each file in a folder: one JSON list (file, size, time) a line.

    Lines are added as files are made, so that whatever ends the work, what is finished is known; the end of the `with`
    block puts them in order. Lines that are damaged do not count, and later lines win.

    Args:
        folder: that the files are in or below; it is there.
        white_level: with which the sources are read, if it is not the usual one: it is part of their state.
    """

    def __init__(self, folder, white_level=None):
        self.folder, self.path = folder, folder / RECORD_FILE
        self._reading = () if white_level is None else (white_level,)
        self._is_first = not self.path.exists()
        lines = [] if self._is_first else read_text(self.path).split("\n")
        self._states = dict(filter(None, map(_parse, lines)))
        self._file = open(self.path, "a", encoding="utf-8")  # noqa: SIM115 - closed by __exit__
        if lines and lines[-1]:  # a line that was broken off
            self._file.write("\n")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self._file.close()
        if kind is None:  # in order, and each file once
            write_text(self.path, "".join(_line(name, state) for name, state in sorted(self._states.items())))

    def is_outdated(self, target, *sources):
        """Whether `target` has to be made: it is not there, or `sources` differ from what it was made from.

        Where the folder has no record yet, as of earlier versions, what is not older than its source is taken as it is.
        """
        try:
            state, written = source_state(*sources), target.stat().st_mtime_ns
        except OSError:  # most often the target is not there; whoever reads a source that is gone reports it
            return True
        if not self._is_first or self._reading:
            return self._states.get(self._name(target)) != state + self._reading
        if written < state[1]:
            return True
        self.note(target, state)
        return False

    def note(self, target, state):
        """Notes that `target` was made from a source of this state."""
        name = self._name(target)
        self._states[name] = state + self._reading
        self._file.write(_line(name, self._states[name]))
        self._file.flush()

    def _name(self, target):
        return target.relative_to(self.folder).as_posix()


def source_state(*paths):
    """Returns what is compared of sources: their size in bytes and their time in nanoseconds, each added up."""
    found = [Path(path).stat() for path in paths]
    return sum(status.st_size for status in found), sum(status.st_mtime_ns for status in found)


def _line(name, state):
    return json.dumps([name, *state]) + "\n"


def _parse(line):
    """Returns (name, state) of a line, or None where it is none."""
    try:
        name, *state = json.loads(line)
    except (ValueError, TypeError, RecursionError):
        return None
    is_sound = type(name) is str and len(state) in (2, 3) and all(type(value) is int for value in state)
    return (name, tuple(state)) if is_sound else None
