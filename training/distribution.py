"""The devices of a training: one, those that TensorFlow sees, or those of all processes of JAX.

The engines are TensorFlow's and Keras' own. Every process runs the same program on its share of each batch; what they
have to do together they do in the same order. The first process alone writes and prints.
"""

import contextlib
import hashlib
import json
import os
from collections import deque

from errors import UserError
from training import processes

AGREEMENT_DELAY = 8  # calls of `agree` after which its answer is looked at, so that a device need not be waited for
LOST_SIGNS = ("Gloo", "NCCL", "coordination service", "CoordinationService", "UNAVAILABLE", "DEADLINE_EXCEEDED")
MESSAGE_BYTES = 4096  # of a text that the first process tells the others


class Devices:
    """One device of one process, and what distributed devices have in common with it."""

    num_devices = 1
    num_processes = 1
    process = 0
    failures = ()  # classes of exceptions with which the lack of another process may be noticed

    @property
    def is_first(self):
        """Whether this is the process that writes and prints."""
        return self.process == 0

    @property
    def part(self):
        """Which part of a batch this process reads, and of how many."""
        return self.process, self.num_processes

    def scope(self):
        """Returns a context: networks and optimizers that are built within it are on all devices, and train there."""
        return contextlib.nullcontext()

    def prepare(self, network):
        """Lets the layers of a network that is to be trained compute as they do on one device."""

    def check_batch(self, batch_size):
        """Raises a `UserError` if the devices cannot share a batch evenly."""
        if batch_size % self.num_devices:
            raise UserError(f"a batch of {batch_size} is not to be shared evenly by {self.num_devices} devices: choose "
                            f"a multiple of {self.num_devices}")

    def check_supported(self, accumulating=False, clipping=False, float16=False, adversarial=False, compiled=False):
        """Raises a `UserError` if this way of training does not give on these devices what it gives on one.

        Args:
            accumulating: gradients accumulate over several batches.
            clipping: gradients are clipped.
            float16: the loss is scaled, as that precision needs it.
            adversarial: batches are trained on one by one, as an adversarial training does.
            compiled: steps are compiled by XLA on request.
        """

    def agree(self, code, at_once=False):
        """Returns the largest `code` of all processes; they call this in the same order and get the same answer.

        Args:
            code: a whole number; once above 0, it stays so.
            at_once: of this call. By default the answer is that to an earlier one, or 0, and nothing is waited for.
        """
        return code

    def from_first(self, text):
        """Returns the text of the first process."""
        return text

    def collect(self, values, count):
        """Returns `count` numbers in their order, of which this process has every `num_processes`-th in `values`."""
        return list(values)

    def check_same(self, facts):
        """Raises a `UserError` if `facts`, which can be written as JSON, are not the same in all processes."""

    def loss_of_process(self, error):
        """Returns the text of an exception of `failures` that tells that another process is gone, None of any other."""

    def end_together(self):
        """Says that all processes have come to the end, so that each may wait for the others when it leaves."""


class MirroredDevices(Devices):
    """All devices that TensorFlow sees, each with a copy of the network: `tf.distribute.MirroredStrategy`."""

    def __init__(self):
        import tensorflow as tf

        self.strategy = tf.distribute.MirroredStrategy()
        self.num_devices = self.strategy.num_replicas_in_sync

    def scope(self):
        return self.strategy.scope()

    def check_supported(self, accumulating=False, clipping=False, float16=False, adversarial=False, compiled=False):
        refused = {
            "the accumulation of gradients (MirroredStrategy refuses it)": accumulating,
            "the clipping of gradients (Keras would clip those of each device)": clipping,
            "adversarial training (Keras' train_on_batch would give each device the whole batch)": adversarial,
            "compiling by XLA (it was not tried)": compiled,
            "float16 (Keras would look at the gradients of the first device alone; bfloat16 is supported)": float16}
        for what, is_wanted in refused.items():
            if is_wanted:
                raise UserError(f"{what} is not supported on several devices on TensorFlow: leave it out, or set "
                                "KERAS_BACKEND=jax")

    def prepare(self, network):
        """Lets batch normalization take the statistics of the whole batch, which TensorFlow does on request alone."""
        from keras import layers

        for layer in network.layers:
            if isinstance(layer, layers.BatchNormalization):
                layer.synchronized = True


class ParallelDevices(Devices):
    """All devices of all processes of JAX, each with a copy of the network: `keras.distribution.DataParallel`."""

    def __init__(self):
        import jax
        import keras
        from jax.sharding import NamedSharding, PartitionSpec

        # Keras would share out a whole batch itself, but not one of a PyDataset; `part` of it is what is read.
        self.distribution = keras.distribution.DataParallel(auto_shard_dataset=False)
        self.num_devices, self.num_processes = jax.device_count(), jax.process_count()
        self.process, self.num_local = jax.process_index(), jax.local_device_count()
        # Of the second class, by the way that JAX translates errors, are those of Gloo, with which CPUs communicate.
        self.failures = (jax.errors.JaxRuntimeError, ValueError) if self.num_processes > 1 else ()
        mesh = self.distribution.device_mesh.backend_mesh
        self._sharding = NamedSharding(mesh, PartitionSpec(mesh.axis_names[0]))
        self._largest = jax.jit(jax.numpy.max, out_shardings=NamedSharding(mesh, PartitionSpec()))
        self._asked = deque()

    def scope(self):
        return self.distribution.scope()

    def agree(self, code, at_once=False):
        import jax
        import numpy as np

        if self.num_processes == 1:
            return code
        codes = jax.make_array_from_process_local_data(self._sharding, np.full(self.num_local, code, np.int32))
        self._asked.append(self._largest(codes))
        if at_once:
            answer = self._asked.pop()  # the others are no larger
            self._asked.clear()
        elif len(self._asked) > AGREEMENT_DELAY:
            answer = self._asked.popleft()
        else:
            return 0
        return int(answer)

    def from_first(self, text):
        import numpy as np

        content = np.zeros(MESSAGE_BYTES, np.uint8)
        encoded = os.fsencode(text)[:MESSAGE_BYTES]
        content[:len(encoded)] = np.frombuffer(encoded, np.uint8)
        return os.fsdecode(bytes(self._gather(content)[0]).rstrip(b"\0"))

    def collect(self, values, count):
        import numpy as np

        rows = np.full(-(-count // self.num_processes), np.nan)
        rows[:len(values)] = values
        table = self._gather(rows.view(np.uint32)).view(np.float64)  # JAX has no float64 here
        return [float(value) for value in table.T.reshape(-1)[:count]]

    def check_same(self, facts):
        import numpy as np

        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).digest()
        digests = self._gather(np.frombuffer(digest, np.uint8))
        others = [number for number, row in enumerate(digests) if (row != digests[0]).any()]
        if others:
            raise UserError(f"process {', '.join(map(str, others))} has other options, another data set or another "
                            "state than process 0: start all with the same, on files that all of them see")

    def loss_of_process(self, error):
        if not any(sign in str(error) for sign in LOST_SIGNS):
            return None
        return f"another process of this training has ended, or cannot be reached ({str(error).splitlines()[0]})"

    def end_together(self):
        processes.end_together()

    def _gather(self, array):
        """Returns the arrays of all processes, one a row.

        Raises:
            UserError: another process has ended.
        """
        from jax.experimental import multihost_utils

        try:
            return multihost_utils.process_allgather(array).reshape(self.num_processes, -1)
        except self.failures as error:
            text = self.loss_of_process(error)
            if text is None:
                raise
            raise UserError(text) from error


def find_devices(distribute):
    """Returns the `Devices` of this process: one, or with `distribute` all that the Keras backend sees.

    Raises:
        UserError: Keras has no data parallelism on this backend.
    """
    if not distribute:
        return Devices()
    devices = MirroredDevices() if processes.distributing_backend() == "tensorflow" else ParallelDevices()
    print(f"distributed over {devices.num_devices} devices in {devices.num_processes} processes", flush=True)
    return devices
