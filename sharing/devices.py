"""Sharing work among the devices of a machine: one process for each, since a process sees one device.

What the processes have to say goes to the one that started them, which shows it.
"""

import multiprocessing
import os
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import wait

from errors import UserError
from sharing.messages import DistantBar, show

STOP_SECONDS = 30  # which a process that is to stop has to finish its tile and to remove what is half written


def run_on_devices(devices, prepare, shares, bar, take):
    """Does the jobs of each share on its device.

    A process that ends before its share is done is reported, and the other ones go on. An error that concerns all jobs,
    such as a model that cannot be loaded, ends them all.

    Args:
        devices: list of what CUDA_VISIBLE_DEVICES is to be for each process; on a machine without a GPU any names.
        prepare: function that makes the backend ready in a process; it is known there by its module and name.
        shares: of each device a list of (work, jobs, sizes).
        bar: `tqdm` bar over the sizes.
        take: function that takes the outcome of each entry of a share.

    Raises:
        UserError or OSError: of a process.
    """
    running = {}
    try:
        for device, share in zip(devices, shares, strict=True):
            share = [entry for entry in share if entry[1]]
            if share:
                process, connection = _start(device, prepare, share)
                running[connection] = _Running(device, process, share)
        _listen(running, bar, take)
    finally:
        _stop([one.process for one in running.values()])


class _Running:
    """A process, its device, its share, and how many entries of that are done."""

    def __init__(self, device, process, share):
        self.device, self.process, self.share = device, process, share
        self.num_done = 0


def _start(device, prepare, share):
    """Starts the process of a device; returns it, and the connection on which it tells of its work."""
    context = multiprocessing.get_context("spawn")  # a fork would share what the backend has begun here
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(device, prepare, share, sender), name=f"device-{device}", daemon=True)
    with _signals_kept_here():
        process.start()
    sender.close()  # so that the connection ends with the process
    return process, receiver


@contextmanager
def _signals_kept_here():
    """Within the block, processes are started that a terminal's signals do not reach: this one tells them to stop."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # which lets the signals through again when it starts
    old = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGHUP])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


def _listen(running, bar, take):
    """Shows what the processes tell, and hands on their outcomes, until all have ended."""
    open_ones = dict(running)
    while open_ones:
        for connection in wait(list(open_ones)):
            one = open_ones[connection]
            try:
                kind, *content = connection.recv()
            except EOFError:
                del open_ones[connection]
                one.process.join()
                if one.num_done < len(one.share):
                    _report_lost(one, bar, take)
                continue
            if kind == "error":
                raise content[0]
            if kind == "outcome":
                one.num_done += 1
                take(content[0])
            else:
                show((kind, *content), bar)


def _report_lost(one, bar, take):
    """Reports a process that has ended before its share was done."""
    num_jobs = sum(len(jobs) for _, jobs, _ in one.share)
    num_lost = 0
    for work, jobs, _ in one.share[one.num_done:]:
        number, outcome = work.lost(jobs)
        num_lost += number
        take(outcome)
    code = one.process.exitcode
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with the exit code {code}"
    bar.write(f"failed: device {one.device}: its process {how}, and {num_lost} of its {num_jobs} {work.JOBS} are "
              "not done", file=sys.stderr)


def _stop(processes):
    """Ends the processes that still run, and waits for their ends."""
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(STOP_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()


def _work(device, prepare, share, connection):
    """Does a share; it is what the process of a device runs."""
    try:
        signal.signal(signal.SIGTERM, _interrupt)
        os.environ["CUDA_VISIBLE_DEVICES"] = device
        threading.Thread(target=_end_with_parent, daemon=True).start()
        _do_share(device, prepare, share, connection)
    except KeyboardInterrupt:  # wherever it came, also while an error was told of
        sys.exit(128 + signal.SIGTERM)


def _do_share(device, prepare, share, connection):
    """Does a share and tells of it on the connection."""
    try:
        prepare()
        bar, loaded = DistantBar(connection.send), None
        for work, jobs, sizes in share:
            loaded = work.load(loaded)
            bar.write(f"device {device}: {work.title(loaded, jobs)}", file=sys.stdout)
            connection.send(("outcome", work.do(loaded, jobs, sizes, bar)))
    except (UserError, OSError) as error:
        with suppress(OSError):  # the process that listens may be gone
            connection.send(("error", error))


def _interrupt(number, _):
    signal.signal(number, signal.SIG_IGN)  # a second one would interrupt the cleaning up
    raise KeyboardInterrupt


def _end_with_parent():
    """Ends this process in good order when the one that started it has gone, however that ended."""
    wait([multiprocessing.parent_process().sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
