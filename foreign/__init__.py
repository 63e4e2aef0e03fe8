"""Models of ours from other people's weights: Keras 2 files (.h5) and PyTorch checkpoints (.pt, .pth)."""

from foreign.loading import convert_weights, load_any, load_foreign

__all__ = ["convert_weights", "load_any", "load_foreign"]
