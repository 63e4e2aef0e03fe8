"""What processes tell the one that has started them, which shows it."""

import sys


class DistantBar:
    """Stands for a `tqdm` bar in another process: `send` takes messages there, which `show` shows."""

    def __init__(self, send):
        self.send, self.n = send, 0.0

    def update(self, amount):
        self.n += amount
        self.send(("update", amount))

    def set_description(self, text, refresh=True):
        self.send(("describe", text))

    def write(self, text, file):
        self.send(("write", text, file is sys.stderr))


def show(message, bar):
    """Does to a `tqdm` bar what a `DistantBar` was told."""
    kind, value, *is_error = message
    if kind == "update":
        bar.update(value)
    elif kind == "describe":
        bar.set_description(value, refresh=False)
    else:
        bar.write(value, file=sys.stderr if is_error[0] else sys.stdout)
