"""Sharing work among processes: the devices of a machine, or the workers of a cluster.

What is shared are entries (work, jobs, sizes): jobs of any kind with their sizes, which the bar counts, and what is
done with them. A work is plain data, of a class that other processes import, with

    JOBS                             what its jobs are, in the plural
    load(last)                       returns what its jobs need, such as a network; `last` is what the process had
                                     loaded before for another work, or None
    do(loaded, jobs, sizes, bar)     does jobs and returns an outcome, plain data as well; `bar` is a `DistantBar`
    title(loaded, jobs)              returns a line that says what a process begins with
    label(job)                       returns what a job is called in messages
    lost(jobs)                       returns the number of those that are not done, and their outcome, where a process
                                     ended that had them to do
"""

from sharing.cluster import run_on_cluster
from sharing.devices import run_on_devices
from sharing.messages import DistantBar, show

__all__ = ["DistantBar", "run_on_cluster", "run_on_devices", "show"]
