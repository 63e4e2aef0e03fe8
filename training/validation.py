"""Validating a training after each epoch."""

import numpy as np
from tqdm import tqdm

from evaluation import pair_psnr
from training.monitoring import InterruptCheck


class PatchValidation:
    """Validates the network of a `Training` on the fixed patches of a `PatchSequence`: `val_loss` and `val_psnr`."""

    def __init__(self, sequence):
        self.sequence = sequence

    def __call__(self, training):
        logs = training.network.evaluate(self.sequence, verbose=0, return_dict=True,
                                         callbacks=[InterruptCheck(training.interrupts)])
        return {f"val_{name}": float(value) for name, value in logs.items()}


class FullSizeValidation:
    """Validates the inference model of a `Training` on full-size images: `val_psnr`, as evaluate.py computes it."""

    def __init__(self, pairs):
        self.pairs = pairs

    def __call__(self, training):
        values = []
        for pair in tqdm(self.pairs, desc="validation", unit="image", leave=False, disable=None):
            values.append(pair_psnr(training.super_resolve, pair))
            training.interrupts.check()
        return {"val_psnr": float(np.mean(values))}
