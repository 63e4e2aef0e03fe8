"""Worker processes that are never left over: they end with their parent, however it ends, and leave signals to it."""

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
from concurrent import futures
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from multiprocessing.context import SpawnContext, SpawnProcess

STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

PATIENCE = 2  # seconds of waiting for a result after which it is looked whether all workers are alive


class WorkerPool(ProcessPoolExecutor):
    """Processes that do what is submitted. A `with` block that is left by an exception kills them at once.

    The signals by which a terminal or a system stops a whole group of processes are for the parent alone.
    """

    def __init__(self, num_workers, prepare=None):
        """Starts no process before something is submitted.

        Args:
            num_workers: processes, at most.
            prepare: called without arguments in each process before its first work; it can be pickled.
        """
        self._workers = _Workers()
        with _signals_held():  # Python's process that removes semaphores is born here, and ignores two signals of three
            # Pickled here, so that a worker loads what `prepare` needs, such as numpy, only once it watches its parent.
            super().__init__(num_workers, self._workers, _begin, (pickle.dumps(prepare),))

    def submit(self, *args, **kwargs):
        """Submits a call, as every executor does."""
        with _signals_held():  # a process that starts here is born with them held, and ignores them soon
            return super().submit(*args, **kwargs)

    def result(self, future):
        """Waits for the result of a submitted call.

        Raises:
            BrokenProcessPool: a process has died. The executor itself waits for ever for the rest of a result where it
                died while it passed one on.
        """
        while not futures.wait([future], PATIENCE).done:
            if not all(worker.is_alive() for worker in self._workers.started):
                if futures.wait([future], PATIENCE).done:  # it has just been noticed
                    break
                raise BrokenProcessPool("a process has died")
        return future.result()

    def kill(self):
        """Ends all processes at once, whatever they do, and waits for their end."""
        for worker in self._workers.started:
            if worker.is_alive():
                worker.kill()
        if self._result_queue is not None:  # where a result was broken off, its end is told to whoever waits for it
            self._result_queue._writer.close()
        self.shutdown(cancel_futures=True)

    def __exit__(self, kind, *_):
        if kind is None:
            self.shutdown()
        else:
            self.kill()
        return False


class _Worker(SpawnProcess):
    def terminate(self):
        """Kills: the executor ends the rest of its workers so when one has died, and SIGTERM would be ignored."""
        self.kill()


class _Workers(SpawnContext):
    """Starts new interpreters, since a fork of a process with threads can hang, and knows which it has started."""

    def __init__(self):
        super().__init__()
        self.started = []

    def Process(self, *args, **kwargs):
        self.started.append(_Worker(*args, **kwargs))
        return self.started[-1]


def _begin(prepare):
    """The first thing a worker does. It is here, in a module that loads quickly, so that it comes early."""
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    prepare = pickle.loads(prepare)
    if prepare:
        prepare()


def _exit_with_parent():
    """Waits for the end of the parent, of which the system tells by a pipe, even where it was over before."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


@contextlib.contextmanager
def _signals_held():
    """Holds the signals back from this thread, and from processes that it starts, while the block runs."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
