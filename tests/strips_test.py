"""Images that are written while their strips come are the files that they would be, and nothing is left of failures."""

import functools
import subprocess
import sys
import threading

import numpy as np
import pytest

from files import WriteError
from imaging.metadata import Metadata
from imaging.photos import Photo, write_photo
from imaging.strips import Abandoned, Backlog, Strips
from tests.conftest import ROOT
from tests.odd_file_makers import exif, pixels, profile

IN_STRIPS = ("png", "jpg", "tif")


@pytest.fixture
def coming():
    """Returns an array as `Strips` that come from another thread, and end with an error if one is given."""
    threads, before = [], _own_threads()

    def coming(image, num_rows=7, error=None, limit=100):
        strips = Strips(image.shape, image.dtype, Backlog(limit))
        threads.append(threading.Thread(target=functools.partial(_send, strips, image, num_rows, error)))
        threads[-1].start()
        return strips

    yield coming
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert _own_threads() <= before


def _own_threads():
    """Returns the threads that Python has started; libvips' own appear beside them once they call Python."""
    return {thread for thread in threading.enumerate() if not isinstance(thread, threading._DummyThread)}


def _send(strips, image, num_rows, error):
    try:
        for top in range(0, len(image) // 2 if error else len(image), num_rows):
            strips.put(image[top:top + num_rows])
        strips.end(error)
    except Abandoned:
        pass


@pytest.mark.parametrize("suffix", [*IN_STRIPS, "webp", "bmp"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_file_of_strips_is_that_of_the_whole_image_byte_by_byte(tmp_path, coming, suffix, dtype, channels):
    image = pixels(channels, dtype).repeat(3, axis=0)
    grey, told = channels < 3, Metadata(exif(1), b"<x:xmpmeta/>")
    for i, photo in enumerate((Photo(image), Photo(image, None if grey else profile(), (300.0, 150.0), told))):
        paths = [tmp_path / f"{name}-{i}.{suffix}" for name in ("whole", "strips")]
        for path, form in zip(paths, (image, coming(image)), strict=True):
            write_photo(path, photo._replace(pixels=form), {"kind": "output"})
        assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("suffix", [*IN_STRIPS, "webp"])
@pytest.mark.parametrize("error", [ValueError("half way"), MemoryError("half way"), None])
def test_strips_that_end_too_early_leave_the_older_file_and_their_error(tmp_path, coming, suffix, error):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(b"older")
    strips = coming(pixels(3).repeat(10, axis=0), error=error or Abandoned())
    with pytest.raises(type(error) if error else Exception, match="half way" if error else None):
        write_photo(path, Photo(strips))
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"older"]


@pytest.mark.parametrize("suffix", IN_STRIPS)
def test_a_place_that_cannot_be_written_to_ends_the_strips(tmp_path, coming, monkeypatch, suffix):
    image = np.random.default_rng(0).integers(0, 256, (2000, 300, 3), np.uint8)
    monkeypatch.setattr("files._temporary_name", lambda path: f"full.{suffix}")
    (tmp_path / f"full.{suffix}").symlink_to("/dev/full")
    strips = coming(image, limit=image.nbytes // 10)
    with pytest.raises(WriteError, match=f"^{tmp_path / 'a'}.{suffix}: cannot be written: No space left on device$"):
        write_photo(tmp_path / f"a.{suffix}", Photo(strips))
    strips.abandon()
    with pytest.raises(Abandoned):
        strips.put(image)


def test_no_more_waits_than_the_backlog_allows_or_one_strip():
    backlog, taken = Backlog(100), []
    strips = [Strips((3, 40), np.uint8, backlog) for _ in range(2)]
    strips[0].put(np.zeros((1, 40), np.uint8))
    strips[1].put(np.zeros((1, 40), np.uint8))
    putting = threading.Thread(target=strips[1].put, args=[np.ones((2, 40), np.uint8)])
    putting.start()
    putting.join(0.05)
    assert putting.is_alive()
    strips[0].abandon()
    putting.join(0.05)
    assert putting.is_alive()  # 40 and 80 bytes are too many
    for strip in strips[1]:
        taken.append(strip)
    putting.join(10)
    assert np.array_equal(np.concatenate(taken), [[0] * 40, [1] * 40, [1] * 40])
    assert backlog.bytes == 0


@pytest.mark.slow
@pytest.mark.parametrize("suffix", IN_STRIPS)
def test_a_large_image_is_never_whole_in_memory(tmp_path, suffix):
    script = f"""
import resource, threading, numpy as np
from imaging.photos import Photo, write_photo
from imaging.strips import Backlog, Strips
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
def write(path, height):
    strips = Strips((height, 8000, 3), np.uint8, Backlog(16 << 20))
    thread = threading.Thread(target=lambda: [strips.put(np.full((100, 8000, 3), 100, np.uint8))
                                              for _ in range(height // 100)])
    thread.start()
    write_photo(path, Photo(strips))
    thread.join()
write({str(tmp_path / f"small.{suffix}")!r}, 1000)
before = peak()
write({str(tmp_path / f"a.{suffix}")!r}, 8000)
print(peak() - before)
"""
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert float(result.stdout) < 40  # MiB; the image has 183
