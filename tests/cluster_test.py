"""A folder is shared with the workers of a Ray cluster: a new one, or the one at the address SR_TEST_RAY."""

import io
import itertools
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from tqdm import tqdm

import demo
import weights
from errors import UserError
from model import edsr
from sharing import cluster
from super_resolution.work import Outcome, Work
from tests.conftest import assert_one_line_error, make_photo, save_photo
from tests.nearest import assert_all_done_as_by_one_process, contents, nearest_jobs, nothing, total

ADDRESS = os.environ.get("SR_TEST_RAY", "")


class Actors:
    """Stands for Ray with a few actors, which do a task when it is waited for, the last one first."""

    class exceptions:
        class RayActorError(Exception):
            pass

    def __init__(self, count):
        self.actors, self.most = [Actor() for _ in range(count)], 0

    def wait(self, references, num_returns):
        self.most = max(self.most, len(references))
        return references[-1:], references[:-1]

    def get(self, reference):
        *_, jobs, sizes = reference
        return [Outcome(num_done=len(jobs))], [("update", sum(sizes))]


class Actor:
    def __init__(self):
        self.do = self

    def remote(self, *task):
        return task


def test_no_more_tasks_are_handed_out_than_the_workers_can_take(tmp_path):
    ray, sizes, outcomes = Actors(2), [5 * (8 + i) / 1e6 for i in range(60)], []
    with tqdm(total=1, file=io.StringIO()) as bar:
        cluster.Dispatch(ray, ray.actors, None, bar, outcomes.append).run(
            cluster.tasks(*nearest_jobs(tmp_path, count=60)))
        assert bar.n == pytest.approx(sum(sizes))
    assert total(outcomes).num_done == 60
    assert ray.most == 2 * cluster.TASKS_AHEAD


class Lost(BaseException):
    """Stands for the end of an actor's process."""


def test_an_image_that_ends_its_workers_is_reported_and_the_others_are_done(tmp_path, monkeypatch):
    work, jobs, sizes = nearest_jobs(tmp_path, count=8)
    attempts = cluster.Attempts()
    do = Work.do

    def dying(work, super_resolve, jobs, sizes, bar):
        if any(job.name == "5.png" for job in jobs):
            raise Lost
        return do(work, super_resolve, jobs, sizes, bar)

    monkeypatch.setattr(Work, "do", dying)
    for count in itertools.count(1):
        actor = cluster.Worker(os.getcwd(), {}, nothing)
        try:
            outcomes, messages = actor.do(attempts.note, 0, work, jobs, sizes)
        except Lost:
            assert count < 20
        else:
            break
    assert count == 2 * cluster.TRIES + 1
    assert total(outcomes)[:2] == (7, 1)
    assert ("write", f"failed: {tmp_path / 'in' / '5.png'}: its worker was lost 5 times", True) in messages
    assert sum(message[1] for message in messages if message[0] == "update") == pytest.approx(sum(sizes))
    assert sorted(contents(tmp_path / "out")) == [f"{i}-sr.png" for i in range(8) if i != 5]


def test_tasks_have_few_images_and_few_megapixels():
    sizes = [1] * 20 + [30, 3, 3, 3]
    tasks = list(cluster.tasks("work", list(range(24)), sizes))
    assert [len(jobs) for _, jobs, _ in tasks] == [8, 8, 4, 1, 2, 1]
    assert [job for _, jobs, _ in tasks for job in jobs] == list(range(24))


def test_a_missing_ray_is_named_with_the_requirements_that_bring_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install -r requirements/ray\.txt"):
        cluster.run_on_cluster("", nothing, None, None, None)


def killing(times, seconds):
    """Starts a thread that kills a random worker so many times; it ends early when its list is cleared."""
    killed = [None]

    def kill():
        chance = random.Random(0)
        while killed and len(killed) <= times:
            time.sleep(chance.uniform(*seconds))
            if pids := worker_pids():
                os.kill(pid := chance.choice(pids), signal.SIGKILL)
                killed.append(pid)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    return thread, killed


def worker_pids():
    """Returns the ids of the processes of the cluster's actors of ours: Ray calls them by their class."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    return [pid for pid in pids if b"ray::Worker" in command_line(pid)]


def command_line(pid):
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes()
    except OSError:  # it has ended
        return b""


@pytest.mark.slow
def test_a_cluster_does_every_image_once_whatever_worker_is_lost(tmp_path, capsys):
    pytest.importorskip("ray", reason="requirements/ray.txt is not installed")
    work, jobs, sizes = nearest_jobs(tmp_path, "wait 0.05 die-once 60", count=200)
    outcomes = []
    _, killed = killing(6, (0.5, 3))
    with tqdm(total=sum(sizes), file=io.StringIO()) as bar:
        cluster.run_on_cluster(ADDRESS, nothing, lambda _: [(work, jobs, sizes)], bar, outcomes.append)
        assert bar.n == pytest.approx(sum(sizes))
    num_killed = len(killed) - 1
    killed.clear()
    assert total(outcomes)[:2] == (200, 0)
    assert (tmp_path / "model.died").exists()
    assert num_killed >= 1
    assert capsys.readouterr().out.count("-sr.png") == 200
    assert_all_done_as_by_one_process(tmp_path)


@pytest.mark.slow
def test_demo_on_a_cluster_writes_what_one_process_writes_and_reports_failures(run_main, tmp_path):
    pytest.importorskip("ray", reason="requirements/ray.txt is not installed")
    weights.save(edsr(3, num_filters=4, num_res_blocks=1), tmp_path / "model.keras")
    for i in range(5):
        save_photo(tmp_path / "in" / f"{i}.png", make_photo(20, 30 + i, seed=i))
    (tmp_path / "in" / "bad.png").write_text("no image")
    argv = ["-i", tmp_path / "in", "-m", tmp_path / "model.keras", "-o"]
    run_main(demo, *argv, tmp_path / "single")
    code, out, err = run_main(demo, *argv, tmp_path / "out", "--ray", *([ADDRESS] if ADDRESS else []))
    assert code == 1
    assert f"failed: {tmp_path / 'in' / 'bad.png'}: cannot be read as an image" in err
    assert "images: 5 super-resolved, 0 already there, 1 failed" in out
    assert contents(tmp_path / "out") == contents(tmp_path / "single")
    (tmp_path / "model.keras").write_text("no model")
    result = run_main(demo, *argv, tmp_path / "out", "--ray", *([ADDRESS] if ADDRESS else []))
    assert_one_line_error(result, "model.keras: cannot be loaded")
