"""DIV2K as numpy arrays: pairs of images, and random patches of them as a Keras data set."""

from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from div2k import hr_dir, hr_path, image_ids, lr_dir, lr_path
from options import UserError


class ImagePair(NamedTuple):
    """Paths of one image in high and in low resolution, and its low-resolution size."""

    image_id: int
    hr_path: Path
    lr_path: Path
    lr_height: int
    lr_width: int


def find_pairs(dataset, subset, scale, downgrade, ids=None):
    """Returns the `ImagePair`s of a data set, each array checked by its header.

    Args:
        dataset: folder in DIV2K's layout with numpy arrays.
        subset: 'train' or 'valid'.
        scale: 2, 3 or 4.
        downgrade: one of `options.DOWNGRADES`.
        ids: image ids; by default all that are there.

    Raises:
        UserError: a folder or array is missing or malformed, or high and low resolution do not fit.
    """
    for folder in (Path(dataset), hr_dir(dataset, subset), lr_dir(dataset, subset, downgrade, scale)):
        if not folder.is_dir():
            raise UserError(f"{folder}: there is no such folder; convert.py makes a data set")
    if ids is None:
        ids = image_ids(dataset, subset)
        if not ids:
            raise UserError(f"{hr_dir(dataset, subset)}: there are no arrays NNNN.npy in it; "
                            "`convert.py numpy` writes them")
    return [_check_pair(image_id, hr_path(dataset, subset, image_id),
                        lr_path(dataset, subset, downgrade, scale, image_id), scale) for image_id in ids]


def load_array(path):
    """Opens an image array (H, W, 3), uint8, as a read-only memory map.

    Raises:
        UserError: the file is missing, corrupt, or holds something else.
    """
    try:
        image = np.lib.format.open_memmap(path, mode="r")  # refuses Python objects
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such array") from error
    except (ValueError, OSError) as error:
        raise UserError(f"{path}: cannot be read as a numpy array: {error}") from error
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise UserError(f"{path}: holds {image.dtype} of shape {image.shape}, not an image: "
                        "uint8 of shape (height, width, 3)")
    return image


def load_pair(pair, scale):
    """Returns `hr` and `lr` of an `ImagePair`, `hr` cropped to `scale` times the size of `lr`."""
    return load_array(pair.hr_path)[:pair.lr_height * scale, :pair.lr_width * scale], load_array(pair.lr_path)


class PatchSequence(keras.utils.PyDataset):
    """Endless random patches: batches (lr, hr) of (N, S, S, 3) and (N, S scale, S scale, 3), uint8.

    Every batch is a function of the seed and its number alone, so that the stream is the same whatever the number
    of workers, and can be taken up anywhere. Samples go through a new permutation of all images in every pass.
    """

    def __init__(self, pairs, scale, batch_size=16, patch_size=48, augment=True, seed=0, first_batch=0,
                 num_batches=None, **kwargs):
        """Leaves out the images that are smaller than a patch.

        Args:
            pairs: list of `ImagePair`.
            scale: 2, 3 or 4.
            batch_size: patches in a batch.
            patch_size: size of the low-resolution patch in pixels.
            augment: flip horizontally and rotate by 0, 90, 180 or 270 degrees at random.
            seed: of the random stream.
            first_batch: number of the batch at index 0.
            num_batches: length, or None for an endless stream.
            **kwargs: `workers`, `use_multiprocessing` and `max_queue_size` of `keras.utils.PyDataset`.

        Raises:
            UserError: no image is as large as a patch.
        """
        super().__init__(**kwargs)
        self.window(first_batch, num_batches)
        self.pairs = [pair for pair in pairs if min(pair.lr_height, pair.lr_width) >= patch_size]
        self.num_too_small = len(pairs) - len(self.pairs)
        if not self.pairs:
            raise UserError(f"none of the {len(pairs)} images of {pairs[0].hr_path.parent} is as large as a patch of "
                            f"{patch_size * scale} x {patch_size * scale} pixels: choose a smaller --patch-size")
        self.scale, self.batch_size, self.patch_size = scale, batch_size, patch_size
        self.augment, self.seed = augment, seed
        self._permutation = None

    def window(self, first_batch, num_batches):
        """Lets index 0 be batch `first_batch` of the stream, and the length `num_batches`, None for endless."""
        self.first_batch, self._num_batches = first_batch, num_batches

    @property
    def num_batches(self):
        """Length, None where it is endless."""
        return self._num_batches

    def __getitem__(self, index):
        first = (self.first_batch + index) * self.batch_size
        samples = [self._sample(number) for number in range(first, first + self.batch_size)]
        lr, hr = (np.stack(images) for images in zip(*samples, strict=True))
        return lr, hr

    def _sample(self, number):
        """Returns the paired patches of sample `number` of the stream."""
        rng = np.random.default_rng((self.seed, 1, number))
        pair = self.pairs[self._image_index(number)]
        hr, lr = load_pair(pair, self.scale)
        y = int(rng.integers(pair.lr_height - self.patch_size + 1))
        x = int(rng.integers(pair.lr_width - self.patch_size + 1))
        lr, hr = (_crop(image, y * factor, x * factor, self.patch_size * factor)
                  for image, factor in ((lr, 1), (hr, self.scale)))
        if self.augment:
            flip, quarters = rng.integers(2), rng.integers(4)
            lr, hr = (np.rot90(image[:, ::-1] if flip else image, quarters) for image in (lr, hr))
        return lr, hr

    def _image_index(self, number):
        image_pass, position = divmod(number, len(self.pairs))
        permutation = self._permutation
        if permutation is None or permutation[0] != image_pass:  # one assignment, so that threads do not collide
            order = np.random.default_rng((self.seed, 0, image_pass)).permutation(len(self.pairs))
            permutation = self._permutation = (image_pass, order)
        return permutation[1][position]


def _crop(image, y, x, size):
    return image[y:y + size, x:x + size]


def _check_pair(image_id, hr_file, lr_file, scale):
    hr_shape, (lr_height, lr_width, _) = load_array(hr_file).shape, load_array(lr_file).shape
    if (hr_shape[0] // scale, hr_shape[1] // scale) != (lr_height, lr_width):
        raise UserError(f"{lr_file}: is {lr_height} x {lr_width}, which does not fit {hr_file} of "
                        f"{hr_shape[0]} x {hr_shape[1]} at scale {scale}")
    return ImagePair(image_id, hr_file, lr_file, lr_height, lr_width)
