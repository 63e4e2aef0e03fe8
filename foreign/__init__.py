"""Models of ours from other people's weights: Keras 2 files (.h5) and PyTorch checkpoints (.pt, .pth)."""

from foreign.loading import SUFFIXES, convert_weights, load_foreign, load_model

__all__ = ["SUFFIXES", "convert_weights", "load_foreign", "load_model"]
