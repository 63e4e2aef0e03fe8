"""Several processes of one training, on JAX: how they come together, and how each leaves."""

import atexit
import os
import sys
import time

from errors import UserError

HEARTBEAT_SECONDS = 30  # without a sign of life, after which a process counts as dead
CONNECT_SECONDS = 300  # that the processes wait for each other at the start
SHUTDOWN_SECONDS = 300  # and at the end, while the first one saves what is left
LAST_WORDS_SECONDS = 2


def join(group):
    """Joins this process to the others of a training on JAX; all but the first print nothing from then on.

    This is what `keras.distribution.initialize` calls, which cannot be told how soon a dead process is to be noticed.
    It comes before anything is computed, or devices are looked at.

    Args:
        group: HOST:PORT of the first process, the number of processes of all machines, and that of this one, counted
            from 0. What is None of it is taken from the variables of SLURM, which has one process for each GPU.
            None where this process trains alone.

    Raises:
        UserError: the backend is not JAX, or the processes do not find each other.
    """
    if group is None:
        return
    backend = distributing_backend()
    if backend != "jax":
        raise UserError(f"several processes train together on JAX alone, not on {backend}: set KERAS_BACKEND=jax")
    import jax

    coordinator, num_processes, process = group
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM for itself
    try:
        jax.distributed.initialize(
            coordinator, num_processes, process, cluster_detection_method="slurm" if None in group else "deactivate",
            initialization_timeout=CONNECT_SECONDS, heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=SHUTDOWN_SECONDS)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"the {num_processes or ''} processes do not find each other at "
                        f"{coordinator or 'the address of SLURM'}: {str(error).splitlines()[0]}") from error
    atexit.register(_end_at_once)
    if jax.process_index() > 0:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (until the end of the process)


def end_together():
    """Says that all processes have come to the end, so that each may wait for the others when it leaves."""
    atexit.unregister(_end_at_once)


def distributing_backend():
    """Returns the name of the Keras backend; PyTorch, which does not distribute a training, is a `UserError`."""
    import keras

    if keras.backend.backend() == "torch":
        raise UserError(f"Keras {keras.__version__} trains on several devices on TensorFlow and JAX alone: set "
                        "KERAS_BACKEND=tensorflow or KERAS_BACKEND=jax (on PyTorch, Keras 3.16 will)")
    return keras.backend.backend()


def _end_at_once():
    """Ends a process that has failed alone: JAX would wait for the others, and they for what this one has to compute.

    The first process, whose end is the end of all, leaves the others a moment to tell of the same failure.
    """
    import jax

    if jax.process_index() == 0:
        time.sleep(LAST_WORDS_SECONDS)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(1)
