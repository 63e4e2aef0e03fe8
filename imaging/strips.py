"""Pixels that come strip by strip, from the top, so that a large image need never be in memory as a whole."""

import threading
from collections import deque

import numpy as np


class Abandoned(Exception):
    """Nobody takes the strips of an image any more."""


class Backlog:
    """What waits to be taken, of all images together: no more than `limit` bytes, or one strip."""

    def __init__(self, limit):
        self.limit, self.bytes, self.changed = limit, 0, threading.Condition()


class Strips:
    """An image that one thread makes and another one takes, strip by strip.

    Args:
        shape, dtype: of the image, as of an array.
        backlog: `Backlog` in which strips wait.
    """

    def __init__(self, shape, dtype, backlog):
        self.shape, self.dtype, self._backlog = tuple(shape), np.dtype(dtype), backlog
        self._waiting, self._is_ended, self._is_abandoned, self._error = deque(), False, False, None

    def put(self, strip):
        """Adds rows, an array (h, ...), once there is room for them; raises `Abandoned`."""
        backlog = self._backlog
        with backlog.changed:
            backlog.changed.wait_for(lambda: self._is_abandoned or not backlog.bytes
                                     or backlog.bytes + strip.nbytes <= backlog.limit)
            if self._is_abandoned:
                raise Abandoned
            self._waiting.append(strip)
            backlog.bytes += strip.nbytes
            backlog.changed.notify_all()

    def end(self, error=None):
        """Says that there are no more strips: the image is whole, or `error` is why it is not, which the taker gets."""
        with self._backlog.changed:
            self._is_ended, self._error = True, self._error or error
            self._backlog.changed.notify_all()

    def abandon(self):
        """Says that no more strips are taken."""
        with self._backlog.changed:
            self._is_abandoned = True
            while self._waiting:
                self._take()

    def __iter__(self):
        """Yields the strips as they come, once; raises the error with which they ended, or `Abandoned`."""
        num_rows = 0
        while num_rows < self.shape[0]:
            with self._backlog.changed:
                self._backlog.changed.wait_for(lambda: self._waiting or self._is_ended or self._is_abandoned)
                if not self._waiting:
                    raise self._error or Abandoned
                strip = self._take()
            num_rows += len(strip)
            yield strip
            del strip  # the memory of a large one

    def whole(self):
        """Returns the image as an array, once all of it has come."""
        image, top = np.empty(self.shape, self.dtype), 0
        for strip in self:
            image[top:top + len(strip)] = strip
            top += len(strip)
        return image

    def _take(self):
        strip = self._waiting.popleft()
        self._backlog.bytes -= strip.nbytes
        self._backlog.changed.notify_all()
        return strip
