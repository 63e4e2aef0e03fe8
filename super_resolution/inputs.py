"""From what a user names, files, folders and lists of them, to the images that are to be super-resolved."""

import os
from collections import Counter
from pathlib import Path

from errors import UserError, describe
from files import read_text
from imaging.image_files import Found, bad_link, is_litter, look_through, no_images
from imaging.marks import read_mark

EXAMPLES = 5  # suffixes or names that are told of what is left out
MAX_PATH = 4096  # bytes that systems take


class Inputs:
    """The images of files and folders.

    Args:
        words: each the path of a file or a folder, or @ and the path of a list, see `read_list`; ./@NAME is never one.
        recursive: take the images of subfolders as well.

    Attributes:
        images: dict from the path of each image to the name that its output is made of: for one of a folder the path
            within it.
        named: set of the images that were named themselves, not by their folder.
        failures: texts, each of an input that is not there or cannot be read, and why.

    Raises:
        UserError: a list cannot be read; or there is one input, and no image in it.
    """

    def __init__(self, words, recursive=False):
        self.images, self.named, self.failures = {}, set(), []
        self._places, self._left_out = set(), Found([], [], [], [], [])
        paths = [path for word in words for path in _paths(word)]
        if len(paths) > 1:  # a shell's * means no more than a folder does
            paths = [path for path in paths if not is_litter(path.name)]
        for path in paths:
            try:
                self._add(path, recursive)
            except (UserError, OSError) as error:
                if len(paths) == 1:
                    raise
                self.failures.append(describe(error))

    def notes(self):
        """Returns lines that say what is left out of the folders, each with its number and examples."""
        return _notes(self._left_out)

    def _add(self, path, recursive):
        if path.is_dir():
            self._add_folder(path, recursive)
        elif path.exists():
            self.named.add(path)
            self._add_image(path, Path(path.name))
        else:
            raise UserError(bad_link(path) if path.is_symlink() else f"{path}: there is no such folder or file")

    def _add_folder(self, folder, recursive):
        found = look_through(folder, recursive)
        for path in found.images:
            self._add_image(path, path.relative_to(folder))
        self.failures += found.failures
        left_out = found._replace(images=[], others=[path for path in found.others if read_mark(path) is None])
        if not found.images and not found.failures:
            raise UserError("; ".join([no_images(folder), *_notes(left_out)]))
        for all_paths, paths in zip(self._left_out, left_out, strict=True):
            all_paths.extend(paths)

    def _add_image(self, path, name):
        place = os.path.abspath(path)  # links keep their own name: they are images of their own
        if place not in self._places:
            self._places.add(place)
            self.images[path] = name


def _paths(word):
    """Returns the paths that a word stands for; a folder such as @eaDir, which a shell's * gives, is no list."""
    is_list = word.startswith("@") and (os.path.exists(word[1:]) or not os.path.exists(word))
    return read_list(word[1:]) if is_list else [Path(word)]


def read_list(path):
    """Returns the paths in a list: one a line, relative to the working directory.

    Blank lines, and those that begin with #, are left out; ./#NAME is a file's name.

    Raises:
        UserError: it cannot be read, is no text, or names nothing.
    """
    try:
        text = read_text(path)
    except OSError as error:
        raise UserError(f"{path or '@'}: is no list that can be read: {error.strerror}") from error
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    for number, line in enumerate(lines, 1):
        if "\0" in line:
            raise UserError(f"{path}: is no list of paths in UTF-8, one a line: line {number} holds a zero byte")
        if len(os.fsencode(line)) > MAX_PATH:
            raise UserError(f"{path}: is no list of paths, one a line: line {number} has {len(line):,} characters")
    paths = [Path(line) for line in lines if line.strip() and not line.startswith("#")]
    if not paths:
        raise UserError(f"{path}: names no file: a list has one path a line")
    return paths


def note(text, count, examples):
    """Returns a line with a number and some examples of what is counted."""
    more = ", ..." if len(examples) > EXAMPLES else ""
    return f"{text}: {count} ({', '.join(examples[:EXAMPLES])}{more})"


def _notes(found):
    suffixes = Counter(path.suffix.lower() or "no suffix" for path in found.others)
    lines = []
    if found.others:
        examples = [suffix for suffix, _ in suffixes.most_common()]
        lines.append(note("files of other formats, left out", len(found.others), examples))
    for text, paths in (("hidden images, left out", found.hidden), ("links to folders, not followed", found.links)):
        if paths:
            lines.append(note(text, len(paths), [path.name for path in paths]))
    return lines
