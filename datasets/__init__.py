"""Data sets of numpy arrays: their layout, how they are made, random patches of them. Without Keras."""
