"""Weight normalization and learning rates: the optimizer, the data-based initialization, a schedule."""

from optimizer.initialization import data_based_initialization
from optimizer.schedules import WarmUp
from optimizer.weightnorm import AdamWithWeightnorm

__all__ = ["AdamWithWeightnorm", "WarmUp", "data_based_initialization"]
