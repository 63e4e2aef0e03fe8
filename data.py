"""The door to training data: pairs of images, and random patches of them as a Keras data set."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial

import keras

from datasets.arrays import ArrayChanged
from datasets.degraded import find_or_make_pairs
from datasets.div2k import hr_dir, validation_subset
from datasets.patches import PatchStream, start_worker, worker_batch
from datasets.workers import WorkerPool
from errors import UserError

PREFETCHED = 2  # batches that TensorFlow copies ahead
SUBSETS = {"train": "training", "valid": "validation"}  # and what messages call their images


def find_training_pairs(dataset, scale, downgrade, train_ids=None, valid_ids=None, valid_dataset=None, *,
                        validation=True, advice="choose some of the training images or another data set"):
    """Returns the pairs for training and those for validation.

    Validation images that are chosen by number come from the training folder where the data set has no folder for
    validation; they are then not trained on.

    Args:
        dataset: folder in DIV2K's layout with numpy arrays.
        scale: 2, 3, 4 or 8.
        downgrade: name of a stored downgrade, or a `Degradation`, as `find_downgrade` returns it.
        train_ids, valid_ids: numbers of images; by default all.
        valid_dataset: another data set, from which the validation images are taken.
        validation: whether there are to be pairs for validation; else the list of them is empty.
        advice: what to do where the data set has no folder of validation images, and none are chosen otherwise.

    Raises:
        UserError: as `datasets.div2k.find_pairs`.
    """
    train_pairs = find_or_make_pairs(dataset, "train", scale, downgrade, train_ids)
    if not validation:
        return train_pairs, []
    if valid_ids is None and not valid_dataset and not hr_dir(dataset, "valid").is_dir():
        raise UserError(f"{hr_dir(dataset, 'valid')}: there is no such folder of validation images: {advice}")
    if valid_dataset or validation_subset(dataset, valid_ids) == "valid":
        return train_pairs, find_or_make_pairs(valid_dataset or dataset, "valid", scale, downgrade, valid_ids)
    valid_pairs = find_or_make_pairs(dataset, "train", scale, downgrade, valid_ids)
    names = {pair.name for pair in valid_pairs}
    train_pairs = [pair for pair in train_pairs if pair.name not in names]
    print(f"{hr_dir(dataset, 'train')}: {len(names)} of its images are for validation, {len(train_pairs)} for training")
    if not train_pairs:
        raise UserError(f"{hr_dir(dataset, 'train')}: all of its images are for validation: leave some for training")
    return train_pairs, valid_pairs


def array_list(pairs):
    """Returns [size in bytes, time in ns] of each array of `pairs`, by 'FOLDER/FILE': what tells one list of arrays
    from another, wherever the data set lies."""
    paths = {path for pair in pairs for path in pair.paths}
    stats = {f"{path.parent.name}/{path.name}": path.stat() for path in sorted(paths)}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}


def patch_stream(pairs, scale, subset, *, batch_size, patch_size, seed, augment=True,
                 advice=None, part=(0, 1)):
    """Returns the `PatchStream` of a subset, 'train' or 'valid'; only the former is augmented.

    Args:
        pairs: list of `ImagePair`, or of other pairs that load themselves.
        scale: 2, 3, 4 or 8.
        subset: 'train' or 'valid'.
        batch_size: patches in a batch.
        patch_size: LR pixels.
        seed: of the random stream.
        augment: flip and rotate the patches for training.
        advice: where an image smaller than a patch is an error, what to do about it; by default such images are
            left out with a line.
        part: as of `PatchStream`.

    Raises:
        UserError: such an image with `advice`; or no image is as large as a patch.
    """
    stream = PatchStream(pairs, scale, batch_size, patch_size, augment=augment and subset == "train", seed=seed,
                         part=part)
    if stream.num_too_small:
        size = patch_size * scale
        text = f"{stream.num_too_small} {SUBSETS[subset]} images are smaller than a patch of {size} x {size} pixels"
        if advice:
            raise UserError(f"{text}: {advice}")
        print(f"{text} and are left out; {len(stream.pairs)} are used")
    return stream


class WorkerDied(UserError):
    """A process that loads batches was killed."""


class PatchSequence(keras.utils.PyDataset):
    """Batches (lr, hr) of a stream in its order, whatever the number of workers.

    Keras' own workers are not used: its processes are forks of a process with threads, which can hang.
    """

    def __init__(self, stream, num_batches=None, num_workers=1, use_multiprocessing=False, max_queue_size=16):
        """Starts no worker before the first batch is asked for.

        Args:
            stream: `PatchStream`, or anything with `batch(number)` and a `batch_size`; where processes load the
                batches, it can be pickled.
            num_batches: length, or None for an endless sequence.
            num_workers: threads or processes that load batches.
            use_multiprocessing: load with processes, not with threads.
            max_queue_size: batches loaded ahead.
        """
        super().__init__(workers=0)
        self.stream = stream
        self.num_workers = num_workers
        self.in_processes = use_multiprocessing
        self.num_ahead = max_queue_size
        self.together = 1  # batches that are all loaded before the first is given: it fails where one of them does
        self._executor = None
        self._failure = None
        self.window(0, num_batches)

    def window(self, first_batch, num_batches):
        """Lets index 0 be batch `first_batch` of the stream, and the length `num_batches`, None for endless."""
        self.first_batch = first_batch
        self._num_batches = num_batches
        self._futures = {}

    @property
    def batch_size(self):
        """Patches in a batch."""
        return self.stream.batch_size

    @property
    def num_batches(self):
        """Length, None where it is endless."""
        return self._num_batches

    def __getitem__(self, index):
        try:
            return self._load_together(index) if index % self.together == 0 else self._load(index)
        finally:
            self._futures.pop(index, None)

    def load_first(self):
        """Waits until the batch of index 0 is loaded, keeps it and returns it; raises what `self[0]` raises."""
        return self._load_together(0)

    @property
    def has_failed(self):
        """Whether `check` raises."""
        return self._failure is not None

    def check(self):
        """Raises `ArrayChanged` if a batch was asked for that could not be loaded, and `WorkerDied` if a process that
        loads batches was killed.

        Until that is asked for, threads load them: an error in the middle of a step would lose the steps before.
        """
        if self._failure is not None:
            raise self._failure

    def close(self):
        """Stops the workers; batches that were loaded ahead are dropped."""
        if self._executor is not None and self.in_processes:
            self._executor.kill()
        elif self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
        self._executor = None
        self._futures = {}

    def _load_together(self, index):
        end = index + self.together
        for later in range(index + 1, end if self._num_batches is None else min(end, self._num_batches)):
            self._load(later)
        return self._load(index)

    def _load(self, index):
        """Returns a batch, which stays in `_futures`; those that follow begin to be loaded."""
        last = index + self.num_ahead
        if self._num_batches is not None:
            last = min(last, self._num_batches - 1)
        try:
            for ahead in range(index, max(index, last) + 1):
                if ahead not in self._futures:
                    self._futures[ahead] = self._submit(self.first_batch + ahead)
            future = self._futures[index]
            return self._executor.result(future) if self.in_processes else future.result()
        except BrokenProcessPool:
            self._go_on_with_threads()
            return self._load(index)
        except ArrayChanged as error:
            self._failure = error
            raise

    def _go_on_with_threads(self):
        self._executor.kill()
        self._executor = None
        self._futures = {}
        self.in_processes = False
        self._failure = WorkerDied("a process that loads images was killed, most often for want of memory: fewer "
                                   "processes, or threads, need less")

    def _submit(self, number):
        if self._executor is None and self.in_processes:
            self._executor = WorkerPool(self.num_workers, partial(start_worker, self.stream))
        elif self._executor is None:
            self._executor = ThreadPoolExecutor(self.num_workers)
        return self._executor.submit(worker_batch if self.in_processes else self.stream.batch, number)


def tensorflow_dataset(sequence):
    """Returns the batches of a `PatchSequence` as a `tf.data.Dataset`, which Keras reads as it reads the sequence.

    It is the one that Keras makes, without autotuning: TensorFlow ends the thread of that by a signal that it may miss
    while the processors are busy, and then waits for its next round, up to a minute at the end of an epoch.
    """
    import tensorflow as tf

    signature = tuple(tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in sequence.load_first())
    count = sequence.num_batches

    def batches():
        for index in itertools.count() if count is None else range(count):
            yield sequence[index]

    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature).prefetch(PREFETCHED)
    cardinality = tf.data.INFINITE_CARDINALITY if count is None else count
    return dataset.apply(tf.data.experimental.assert_cardinality(cardinality)).with_options(options)
