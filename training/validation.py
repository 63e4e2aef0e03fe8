"""Validating a training after each epoch."""

from evaluation import DIV2KSample, Protocol, measure
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
        self.samples = [DIV2KSample(pair) for pair in pairs]

    def __call__(self, training):
        scores = measure(training.super_resolve, self.samples, Protocol.named("original"),
                         progress=training.interrupts.watched)
        return {"val_psnr": scores.mean("psnr")}
