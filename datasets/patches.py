"""Random patches of pairs of images, and worker processes that make them; without Keras, which they need not load."""

import numpy as np

from errors import UserError

# What `numpy.rot90` does to an image, for each number of quarters, in a tenth of the time for a patch.
TURNS = (lambda image: image, lambda image: image[:, ::-1].transpose(1, 0, 2), lambda image: image[::-1, ::-1],
         lambda image: image.transpose(1, 0, 2)[:, ::-1])


class PatchStream:
    """An endless stream of batches of paired patches: cropped, flipped and rotated alike.

    Every batch is a function of the seed and its number alone, so that the stream can be computed by several workers
    and taken up anywhere. Samples go through a new permutation of all images in every pass.
    """

    def __init__(self, pairs, scale, batch_size=16, patch_size=48, augment=True, seed=0, part=(0, 1)):
        """Leaves out the images that are smaller than a patch.

        Args:
            pairs: list of `ImagePair`, or of other pairs that load themselves.
            scale: 2, 3, 4 or 8.
            batch_size: patches in a batch.
            patch_size: size of the low-resolution patch in pixels.
            augment: flip horizontally and rotate by 0, 90, 180 or 270 degrees at random.
            seed: of the random stream.
            part: which part of every batch `batch` returns, counted from 0, and of how many equal ones.

        Raises:
            UserError: no image is as large as a patch.
        """
        self.pairs = [pair for pair in pairs if min(pair.lr_shape[:2]) >= patch_size]
        self.num_too_small = len(pairs) - len(self.pairs)
        if not self.pairs:
            raise UserError(f"none of the {len(pairs)} images of {pairs[0].folder} is as large as a patch of "
                            f"{patch_size * scale} x {patch_size * scale} pixels: choose smaller patches")
        self.scale = scale
        self.batch_size = batch_size
        self.patch_size = patch_size
        self.augment = augment
        self.seed = seed
        self.part = part
        self._permutation = None

    def batch(self, number):
        """Returns this part of batch `number`: lr (N, S, S, 3) and hr (N, S scale, S scale, 3), uint8."""
        part, num_parts = self.part
        size = self.batch_size // num_parts
        return self._samples(number * self.batch_size + part * size, size)

    def whole_batch(self, number):
        """Returns batch `number` with all its parts."""
        return self._samples(number * self.batch_size, self.batch_size)

    def _samples(self, first, count):
        lr, hr = (np.empty((count, self.patch_size * scale, self.patch_size * scale, 3), np.uint8)
                  for scale in (1, self.scale))
        for i in range(count):
            self._sample(first + i, lr[i], hr[i])
        return lr, hr

    def place(self, number):
        """Returns where sample `number` of the stream comes from, as whole numbers: which of the pairs, the top and
        the left of its patch in LR pixels, whether it is flipped, and by how many quarters it is then turned."""
        rng = np.random.default_rng((self.seed, 1, number))
        index = int(self._image_index(number))
        y, x = (int(rng.integers(length - self.patch_size + 1)) for length in self.pairs[index].lr_shape[:2])
        flip, quarters = (int(rng.integers(n)) if self.augment else 0 for n in (2, 4))
        return index, y, x, flip, quarters

    def _sample(self, number, lr, hr):
        """Writes the paired patches of sample `number` of the stream into the arrays `lr` and `hr`."""
        index, y, x, flip, quarters = self.place(number)
        patches = self.pairs[index].crop(y, x, self.patch_size, self.scale, number)
        for image, target in zip(patches, (hr, lr), strict=True):
            turned = TURNS[quarters](image[:, ::-1] if flip else image)
            if flip or quarters:  # NumPy is slow at copying three bytes at a time in another order
                for channel in range(3):
                    target[..., channel] = turned[..., channel]
            else:
                target[...] = turned

    def _image_index(self, number):
        image_pass, position = divmod(number, len(self.pairs))
        permutation = self._permutation
        if permutation is None or permutation[0] != image_pass:  # one assignment, so that threads do not collide
            order = np.random.default_rng((self.seed, 0, image_pass)).permutation(len(self.pairs))
            permutation = self._permutation = (image_pass, order)
        return permutation[1][position]


def central_patches(hr, lr, scale, size):
    """Returns the middle `size` x `size` pixels of `lr`, or what there is of them, and the same part of `hr`."""
    y, x = (max(length - size, 0) // 2 for length in lr.shape[:2])
    lr = lr[y:y + size, x:x + size]
    return hr[y * scale:, x * scale:][:lr.shape[0] * scale, :lr.shape[1] * scale], lr


_stream = None  # of a worker process


def start_worker(stream):
    """Prepares a worker process to make batches of a `PatchStream`."""
    global _stream
    _stream = stream


def worker_batch(number):
    """Returns a batch of the worker's stream."""
    return _stream.batch(number)
