"""Chance in the degradations of photos: what happens, how strongly, and of which kind."""

from imaging import degrading

LOWEST_QUALITY = 5  # of JPEG, whatever the strength


class Chance:
    """Draws from `rng` what depends on the strength, a number from 0 (no degradation) over 1 (the default) up."""

    def __init__(self, rng, strength):
        self.rng, self.strength = rng, strength

    def happens(self, probability):
        """Whether something of this probability happens; below strength 1 it is less probable."""
        return self.rng.random() < probability * min(self.strength, 1)

    def value(self, bounds):
        """Returns a value from `bounds`, the upper of which moves away from the lower one with the strength."""
        low, high = bounds
        return self.rng.uniform(low, low + (high - low) * self.strength)

    def choice(self, options, shares=None):
        """Returns one of `options`, whose probabilities are `shares`, or equal."""
        return options[self.rng.choice(len(options), p=shares)]

    def compressed(self, image, qualities):
        """Returns what a JPEG keeps of an image; the lower bound of `qualities` moves away with the strength."""
        low, high = qualities
        low = max(LOWEST_QUALITY, round(high - (high - low) * self.strength))
        quality = int(self.rng.integers(low, high, endpoint=True))
        return degrading.compress(image, quality, self.choice(tuple(degrading.SUBSAMPLINGS)))
