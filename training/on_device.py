"""Training images that lie on the device, where the patches of a `PatchStream` are cut, flipped and turned.

A step then needs a few whole numbers from the host, and the patches are the same, bit for bit.
"""

import keras
import numpy as np
from keras import ops

from data import PatchSequence
from datasets.div2k import ImagePair
from errors import UserError

BANK_BYTES = 1 << 30  # of pixels in one tensor: an index fits into the 32 bits that JAX has, and no copy is large
LARGEST_SHARE = 0.5  # of the device's memory for the images: the network needs the rest


def on_device(sequence, network, choice):
    """Returns a `PatchSequence` of the same batches that are made on the device, or `sequence` itself.

    Args:
        sequence: `PatchSequence` of training patches; it is closed where another takes its place.
        network: that is to be trained on them. On TensorFlow its steps cut the patches.
        choice: 'yes', 'no', or 'auto': where there is a GPU, and the images fit into a part of its free memory.

    Raises:
        UserError: as `check_choice`.
    """
    stream = sequence.stream
    if choice == "no" or (choice == "auto" and num_bytes(stream) > LARGEST_SHARE * free_memory()):
        return sequence
    check_choice(stream, network, choice)
    if _obstacle(stream, network):
        return sequence
    sequence.close()
    patches = DevicePatches(stream)
    if keras.backend.backend() == "tensorflow":
        step = network.train_step
        network.train_step = lambda data: step(patches.cut(data[0]))
    print(f"training images on the device: {num_bytes(stream) / 2**30:.2f} GiB")
    return PatchSequence(patches, sequence.num_batches, max_queue_size=sequence.num_ahead)


def check_choice(stream, network, choice):
    """Raises a `UserError` if the images of a `PatchStream` are to be on the device, by 'yes', and cannot be there:
    where their low resolution is made patch by patch, or several devices train."""
    obstacle = _obstacle(stream, network) if choice == "yes" else None
    if obstacle:
        raise UserError(f"{stream.pairs[0].folder}: its images cannot be kept on the device, since {obstacle}")


def _obstacle(stream, network):
    if not all(isinstance(pair, ImagePair) for pair in stream.pairs):
        return "the host makes its low-resolution patches, each anew"
    return "several devices train" if is_distributed(network) else None


def is_distributed(network):
    """Whether a compiled network is trained by several devices or processes."""
    if keras.backend.backend() == "tensorflow":
        return network.distribute_strategy.num_replicas_in_sync > 1
    if keras.backend.backend() == "jax":
        import jax

        return keras.distribution.distribution() is not None or jax.process_count() > 1
    return False


def num_bytes(stream):
    """Returns the bytes of the images, in low and in high resolution, of a `PatchStream`."""
    return sum(3 * height * width * (1 + stream.scale**2) for height, width, _ in
               (pair.lr_shape for pair in stream.pairs))


def free_memory():
    """Returns the bytes that are free on the GPU of the Keras backend, 0 where there is none or that is not known."""
    return {"tensorflow": _free_of_tensorflow, "jax": _free_of_jax, "torch": _free_of_torch}[keras.backend.backend()]()


class DevicePatches:
    """Batches of a `PatchStream` of stored images, all of which are copied to the device when this is made.

    Raises:
        ArrayChanged: an array is no longer the one that was found.
    """

    def __init__(self, stream):
        self.stream, self.pairs, self.batch_size = stream, stream.pairs, stream.batch_size
        scale = stream.scale
        sizes = [pair.lr_shape[:2] for pair in self.pairs]
        self._lr = pixel_store(sizes, lambda index: self.pairs[index].load(scale)[1])
        self._hr = pixel_store([(height * scale, width * scale) for height, width in sizes],
                               lambda index: self.pairs[index].load(scale)[0])
        self._cut = self._compiled()

    def batch(self, number):
        """Returns batch `number` of the stream as tensors on the device, lr and hr.

        On TensorFlow, whose data sets are those of the host, it is (places,) for `cut`.
        """
        first = number * self.batch_size
        places = np.array([self.stream.place(n) for n in range(first, first + self.batch_size)], _index_dtype())
        return (places,) if keras.backend.backend() == "tensorflow" else self.cut(places)

    def cut(self, places):
        """Returns the patches lr (N, S, S, 3) and hr (N, S scale, S scale, 3), uint8, at `PatchStream.place`s (N, 5)"""
        return self._cut(self._lr, self._hr, places)

    def _compiled(self):
        size, scale = self.stream.patch_size, self.stream.scale

        def cut(lr, hr, places):
            places = ops.convert_to_tensor(places, _index_dtype())
            return cut_patches(lr, places, size), cut_patches(hr, places, size * scale, scale)

        if keras.backend.backend() != "jax":
            return cut
        import jax

        return jax.jit(cut)


def pixel_store(sizes, read):
    """Copies images to the device and returns them as a dict of tensors.

    Args:
        sizes: of each image, (height, width).
        read: function from an image's number to its array (H, W, 3), uint8.

    Returns:
        'banks': list of tensors (P, 3), uint8, the pixels of several images, row by row. 'table': tensor
        (number of images, 3), of each image its bank, its first pixel there, and its width.
    """
    table, banks = np.empty((len(sizes), 3), _index_dtype()), []
    for group in _groups(sizes):
        pixels, first = np.empty((sum(sizes[index][0] * sizes[index][1] for index in group), 3), np.uint8), 0
        for index in group:
            height, width = sizes[index]
            pixels[first:first + height * width] = read(index).reshape(-1, 3)
            table[index] = len(banks), first, width
            first += height * width
        banks.append(ops.convert_to_tensor(pixels))
    return {"banks": banks, "table": ops.convert_to_tensor(table)}


def cut_patches(store, places, size, scale=1):
    """Returns patches (N, `size`, `size`, 3), uint8, flipped and turned, of the images of a `pixel_store`.

    Args:
        places: tensor (N, 5) of `PatchStream.place`s, whose top and left are multiplied by `scale`.
    """
    index, y, x, flip, quarters = (places[:, i, None, None] for i in range(5))
    i, j = ops.arange(size, dtype=places.dtype)[None, :, None], ops.arange(size, dtype=places.dtype)[None, None, :]
    last = size - 1
    # From where `np.rot90` takes what it puts at (i, j).
    row = ops.where(quarters == 0, i, ops.where(quarters == 1, j, ops.where(quarters == 2, last - i, last - j)))
    column = ops.where(quarters == 0, j, ops.where(quarters == 1, last - i, ops.where(quarters == 2, last - j, i)))
    column = ops.where(flip == 1, last - column, column)
    bank, first, width = (ops.take(store["table"][:, i], index) for i in range(3))
    pixel = first + (y * scale + row) * width + x * scale + column  # (N, size, size)
    patches = None
    for number, pixels in enumerate(store["banks"]):
        is_here = bank == number
        part = ops.take(pixels, ops.where(is_here, pixel, 0), axis=0)
        patches = part if patches is None else ops.where(is_here[..., None], part, patches)
    return patches


def _groups(sizes):
    """Returns lists of the numbers of the images that share a bank."""
    groups, room = [], 0
    for index, (height, width) in enumerate(sizes):
        room -= 3 * height * width
        if room < 0 or not groups:
            groups.append([])
            room = BANK_BYTES - 3 * height * width
        groups[-1].append(index)
    return groups


def _index_dtype():
    """JAX has no 64 bits; TensorFlow computes with 32 on the host."""
    return "int32" if keras.backend.backend() == "jax" else "int64"


def _free_of_tensorflow():
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    logical = tf.config.get_logical_device_configuration(gpus[0]) if gpus else None
    if not logical or logical[0].memory_limit is None:
        return 0
    return logical[0].memory_limit * 2**20 - tf.config.experimental.get_memory_info("GPU:0")["current"]


def _free_of_jax():
    import jax

    device = jax.devices()[0]
    stats = device.memory_stats() if device.platform == "gpu" else None
    return stats["bytes_limit"] - stats["bytes_in_use"] if stats else 0


def _free_of_torch():
    import torch

    return torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else 0
