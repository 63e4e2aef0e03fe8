"""Random patches of DIV2K as a Keras data set, loaded ahead by threads or processes."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import keras

from datasets.patches import start_worker, worker_batch
from datasets.workers import WorkerPool


class PatchSequence(keras.utils.PyDataset):
    """Batches (lr, hr) of a `PatchStream` in its order, whatever the number of workers.

    Keras' own workers are not used: its processes are forks of a process with threads, which can hang.
    """

    def __init__(self, stream, num_batches=None, num_workers=1, use_multiprocessing=False, max_queue_size=16):
        """Starts no worker before the first batch is asked for.

        Args:
            stream: `PatchStream`.
            num_batches: length, or None for an endless sequence.
            num_workers: threads or processes that load batches.
            use_multiprocessing: load with processes, not with threads.
            max_queue_size: batches loaded ahead.
        """
        super().__init__(workers=0)
        self.stream, self.num_workers, self.in_processes = stream, num_workers, use_multiprocessing
        self.num_ahead = max_queue_size
        self._executor = None
        self.window(0, num_batches)

    def window(self, first_batch, num_batches):
        """Lets index 0 be batch `first_batch` of the stream, and the length `num_batches`, None for endless."""
        self.first_batch, self._num_batches = first_batch, num_batches
        self._futures = {}

    @property
    def num_batches(self):
        """Length, None where it is endless."""
        return self._num_batches

    def __getitem__(self, index):
        last = index + self.num_ahead
        if self._num_batches is not None:
            last = min(last, self._num_batches - 1)
        for ahead in range(index, max(index, last) + 1):
            if ahead not in self._futures:
                self._futures[ahead] = self._submit(self.first_batch + ahead)
        return self._futures.pop(index).result()

    def close(self):
        """Stops the workers; batches that were loaded ahead are dropped."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None
        self._futures = {}

    def _submit(self, number):
        if self._executor is None and self.in_processes:
            self._executor = WorkerPool(self.num_workers, partial(start_worker, self.stream))
        elif self._executor is None:
            self._executor = ThreadPoolExecutor(self.num_workers)
        return self._executor.submit(worker_batch if self.in_processes else self.stream.batch, number)
