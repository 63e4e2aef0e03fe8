"""Weight normalization: the optimizer and the data-based initialization."""

from optimizer.initialization import data_based_initialization
from optimizer.weightnorm import AdamWithWeightnorm

__all__ = ["AdamWithWeightnorm", "data_based_initialization"]
