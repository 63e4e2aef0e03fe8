"""A training run: its network, loop, validation, folder and logs."""
