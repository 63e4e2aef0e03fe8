"""Sharing work among the workers of a Ray cluster: its actors keep what they have loaded, and get a few jobs at a time.

All machines see the files at the same paths, and have the suite at the same place, or installed.
"""

import os
import signal
import socket
import sys
import threading
from collections import Counter
from functools import partial
from itertools import chain

from errors import UserError, printable
from sharing.messages import DistantBar, show

TASK_JOBS, TASK_SIZE = 8, 8  # of a task: enough images that reading and writing overlap with the network's work
TASKS_AHEAD = 2  # of each actor: the one it does and the next; all others wait here, whatever their number
TRIES = 5  # of a task, then of each of its jobs: an image may be what ends its actor, by the memory that it takes
RESTARTS = 100  # of an actor: more than chance brings, so that what ends each at its start ends the run at last
LASTING = {"max_restarts": RESTARTS, "max_task_retries": -1}
THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")


def run_on_cluster(address, prepare, shares_for, bar, take):
    """Does jobs on the cluster.

    What an actor had not finished when it was lost is done again. There is an actor for each GPU of the cluster, or
    where it has none, for each CPU.

    Args:
        address: of the cluster; empty: RAY_ADDRESS, the one of this machine, or a new one that ends with this process.
        prepare: function that makes the backend ready in an actor; it is known there by its module and name.
        shares_for: function from the number of actors that the cluster has room for to a list of (work, jobs, sizes).
        bar: `tqdm` bar over the sizes.
        take: function that takes the outcome of each task.

    Raises:
        UserError or OSError: of the cluster, or of an actor, which concerns all jobs.
    """
    ray = _ray()
    _connect(ray, address)
    try:
        resources = ray.cluster_resources()
        kind = "num_gpus" if resources.get("GPU") else "num_cpus"
        room = max(1, int(resources.get("GPU") or resources.get("CPU", 1)))
        shares = shares_for(room)
        actors = _start_actors(ray, prepare, kind, max(1, min(room, sum(len(jobs) for _, jobs, _ in shares))))
        attempts = ray.remote(num_cpus=0, **LASTING)(Attempts).remote()
        bar.write(f"ray: {len(actors)} workers", file=sys.stdout)
        todo = chain.from_iterable(tasks(*share) for share in shares)
        Dispatch(ray, actors, partial(_note, attempts), bar, take).run(todo)
    finally:
        ray.shutdown()


def _ray():
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to Ray's makers unless the user wants it
    try:
        import ray
    except ImportError as error:
        raise UserError(f"Ray is not installed ({error}): pip install -r requirements/ray.txt") from error
    return ray


def _connect(ray, address):
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address or None, log_to_driver=False, logging_level="error")
    except Exception as error:  # Ray has no class of its own for what can go wrong here
        text = " ".join(str(error).split())
        name = address or "of this machine"
        raise UserError(f"the Ray cluster {name} cannot be reached or started: {text}") from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)  # Ray has put its own, which changes the exit code


def _start_actors(ray, prepare, kind, count):
    environment = {name: os.environ[name] for name in ("KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL") if name in os.environ}
    if kind == "num_cpus":
        environment |= dict.fromkeys(THREADS, "1")  # each has one CPU
    actor = ray.remote(**{"num_cpus": 0, kind: 1}, **LASTING)(Worker)
    return [actor.remote(os.getcwd(), environment, prepare) for _ in range(count)]


def _note(attempts, change, names):
    """Has `Attempts` note that an actor begins with something (1), or has done it (-1)."""
    import ray

    return ray.get(attempts.note.remote(change, names))


def tasks(work, jobs, sizes):
    """Yields the jobs in tasks: (work, jobs, sizes)."""
    chunk, total = [], 0
    for job, size in zip(jobs, sizes, strict=True):
        if chunk and (len(chunk) == TASK_JOBS or total + size > TASK_SIZE):
            yield work, *zip(*chunk, strict=True)
            chunk, total = [], 0
        chunk.append((job, size))
        total += size
    if chunk:
        yield work, *zip(*chunk, strict=True)


class Attempts:
    """An actor: knows what was begun and never done, so that only this is blamed for the end of the actors."""

    def __init__(self):
        self._counts = Counter()

    def note(self, change, names):
        """Returns how often `names`, a task or a job of it, was begun and not done."""
        self._counts[names] += change
        return self._counts[names]


class Worker:
    """An actor: does tasks, and keeps what it has loaded for the next one.

    Args:
        folder: working directory, from which paths are seen.
        environment: variables that are set before the backend is loaded.
        prepare: see `run_on_cluster`.
    """

    def __init__(self, folder, environment, prepare):
        self._set_up, self._is_ready = partial(_set_up, folder, environment, prepare), False
        self._work = self._loaded = None

    def do(self, note, number, work, jobs, sizes):
        """Does a task.

        Args:
            note: `Attempts.note` as a function here.
            number: of the task.
            work, jobs, sizes: see `sharing`.

        Returns:
            A list of outcomes and of what is to be shown of it, or None and the error that concerns all jobs.
        """
        messages = []
        try:
            if not self._is_ready:
                self._set_up()
                self._is_ready = True
            if work != self._work:
                self._loaded = work.load(self._loaded)
                self._work = work
            bar = DistantBar(messages.append)
            if note(1, (number,)) <= TRIES:
                return [work.do(self._loaded, jobs, sizes, bar)], messages
            return [self._do_alone(partial(note, names=(number, work.label(job))), work, job, size, bar)
                    for job, size in zip(jobs, sizes, strict=True)], messages
        except (UserError, OSError) as error:
            return None, error

    def _do_alone(self, note, work, job, size, bar):
        """Does a job of a task that has ended its actors, unless it is the one that does so; returns its outcome."""
        if note(1) <= TRIES:
            outcome = work.do(self._loaded, (job,), (size,), bar)
            note(-1)
            return outcome
        bar.write(f"failed: {printable(work.label(job))}: its worker was lost {TRIES} times", file=sys.stderr)
        bar.update(size)
        return work.lost([job])[1]


def _set_up(folder, environment, prepare):
    os.environ.update(environment)
    try:
        os.chdir(folder)
    except OSError as error:
        raise UserError(f"{folder}: is not there on {socket.gethostname()} ({error.strerror}): all machines of a "
                        "cluster must see the same files at the same paths") from error
    prepare()


class Dispatch:
    """Hands out tasks, no more than the actors can take, and hands on what becomes of them."""

    def __init__(self, ray, actors, note, bar, take):
        self._ray, self._note, self._bar, self._take = ray, note, bar, take
        self._load = Counter(dict.fromkeys(actors, 0))  # tasks of each actor
        self._pending = {}  # from the reference of a task to its actor

    def run(self, tasks):
        """Does the tasks."""
        for number, task in enumerate(tasks):
            while min(self._load.values()) >= TASKS_AHEAD:
                self._collect()
            actor = min(self._load, key=self._load.get)
            self._load[actor] += 1
            self._pending[actor.do.remote(self._note, number, *task)] = actor
        while self._pending:
            self._collect()

    def _collect(self):
        """Waits for a task, shows what it tells and hands on its outcomes."""
        (reference,), _ = self._ray.wait(list(self._pending), num_returns=1)
        self._load[self._pending.pop(reference)] -= 1
        try:
            outcomes, messages = self._ray.get(reference)
        except self._ray.exceptions.RayActorError as error:
            raise UserError(f"a worker of the cluster was lost for good, after {RESTARTS} restarts: "
                            f"{' '.join(str(error).split())}") from error
        if outcomes is None:
            raise messages
        for message in messages:
            show(message, self._bar)
        for outcome in outcomes:
            self._take(outcome)
