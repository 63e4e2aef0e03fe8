"""An enlarger without a network, which starts at once: what processes under test load in place of a model."""

import os
import signal
import time
from functools import reduce
from pathlib import Path

from errors import UserError
from super_resolution.existing import make_settings
from super_resolution.jobs import plan, share
from super_resolution.work import Outcome, Work
from tests.conftest import make_photo, save_photo

SCALE = 2


class NearestWork(Work):
    """Repeats each pixel. `model` is the path of a file whose words say what befalls its processes."""

    def settings(self):
        return make_settings(self.model)

    def load(self, _=None):
        return Nearest(self.model)


class Nearest:
    """Stands for a `SuperResolver`.

    The file's words: 'wait S' takes S seconds for an image; 'die N' ends the process by SIGKILL at an image N pixels
    wide, 'die-once N' only if it is the first to come there; 'broken' cannot be loaded.
    """

    def __init__(self, path, is_mortal=True):
        self.path, self.scale, self.name, self.engine = path, SCALE, "nearest", "keras"
        self.words = path.read_text().split() if is_mortal else []
        if "broken" in self.words:
            raise UserError(f"{path}: cannot be loaded")

    def each(self, items, image_of):
        return ((item, None) for item in items)

    def strips(self, image, progress):
        for word, value in zip(self.words, self.words[1:], strict=False):
            if word == "wait":
                time.sleep(float(value))
            if word.startswith("die") and image.shape[1] == int(value) and self._is_due(word):
                os.kill(os.getpid(), signal.SIGKILL)
        progress(image.shape[0] * image.shape[1])
        yield image.repeat(SCALE, axis=0).repeat(SCALE, axis=1)

    def _is_due(self, word):
        if word == "die":
            return True
        try:
            Path(f"{self.path}.died").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def nothing():
    """Stands for what makes a backend ready."""


def nearest_jobs(folder, words="", count=12):
    """Makes photos, the I-th of 8 + I pixels of width; returns (`NearestWork`, jobs, megapixels)."""
    (folder / "model").write_text(words)
    images = {save_photo(folder / "in" / f"{i}.png", make_photo(5, 8 + i, seed=i)): Path(f"{i}.png")
              for i in range(count)}
    return NearestWork(folder / "model"), plan(images, folder / "out"), [5 * (8 + i) / 1e6 for i in range(count)]


def shares_of(folder, words="", num_devices=2):
    """Makes photos and returns a share for each device, as `run_on_devices` takes them."""
    work, jobs, sizes = nearest_jobs(folder, words)
    size_of = dict(zip(jobs, sizes, strict=True))
    parts = [share(jobs, i + 1, num_devices) for i in range(num_devices)]
    return [[(work, part, [size_of[job] for job in part])] for part in parts]


def assert_all_done_as_by_one_process(folder):
    """Asserts that the outputs of the photos of `nearest_jobs` are those that this process makes, and no others."""
    from tqdm import tqdm

    work = NearestWork(folder / "model")
    jobs = plan({path: Path(path.name) for path in sorted((folder / "in").iterdir())}, folder / "single")
    with tqdm(disable=True) as bar:
        work.do(Nearest(work.model, is_mortal=False), jobs, [0] * len(jobs), bar)
    assert contents(folder / "out") == contents(folder / "single")


def total(outcomes):
    """Returns the sum of `Outcome`s."""
    return reduce(Outcome.plus, outcomes, Outcome())


def contents(folder):
    """Returns the files in `folder`, name to content."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}
