"""The data of a training run, from its options."""

from data import PatchSequence
from datasets.div2k import find_pairs
from datasets.patches import PatchStream
from errors import UserError


def find_training_pairs(args):
    """Returns the `ImagePair`s for training and for validation."""
    return [find_pairs(args.dataset, subset, args.scale, args.downgrade, ids)
            for subset, ids in (("train", args.training_images), ("valid", args.validation_images))]


def patch_sequence(args, subset, pairs, patch_size, num_batches=None):
    """Returns the `PatchSequence` of a subset, 'training' or 'validation'; only the former is augmented.

    Args:
        args: options of a training script.
        subset: names the images in messages, and the option that chooses them.
        pairs: list of `ImagePair`.
        patch_size: LR pixels.
        num_batches: length of the sequence, None for endless.

    Raises:
        UserError: an image that the user named, or every image, is smaller than a patch.
    """
    stream = PatchStream(pairs, args.scale, args.batch_size, patch_size, augment=subset == "training", seed=args.seed)
    if stream.num_too_small:
        size = patch_size * args.scale
        text = f"{stream.num_too_small} {subset} images are smaller than a patch of {size} x {size} pixels"
        if getattr(args, f"{subset}_images"):
            raise UserError(f"{text}: leave them out of --{subset}-images or choose a smaller --patch-size")
        print(f"{text} and are left out; {len(stream.pairs)} are used")
    return PatchSequence(stream, num_batches, args.num_workers, args.use_multiprocessing, args.max_queue_size)
