"""Which values a setting in a configuration may have."""

from collections.abc import Callable
from typing import NamedTuple

from weights.networks import MAX_EXPANDED
from weights.plain_json import shown


class Check(NamedTuple):
    """Which values a setting may have, and how an error tells it."""

    allows: Callable
    text: str


def one_of(*values):
    """Allows certain values; 1 is neither True nor 1.0."""
    return Check(lambda value: any(repr(value) == repr(allowed) for allowed in values), " or ".join(map(shown, values)))


def whole(first, last):
    """Allows whole numbers."""
    return Check(lambda value: type(value) is int and first <= value <= last, f"a whole number from {first} to {last}")


def number(first, last):
    """Allows numbers."""
    return Check(lambda value: type(value) in (int, float) and first <= value <= last,
                 f"a number from {first:g} to {last:g}")


def pair(check):
    """Allows lists of two."""
    return Check(lambda value: isinstance(value, list) and len(value) == 2 and all(map(check.allows, value)),
                 f"a list of two, each {check.text}")


def either(*checks):
    """Allows what one of `checks` allows."""
    text = " or ".join(check.text for check in checks)
    return Check(lambda value: any(check.allows(value) for check in checks), text)


def channelwise(check):
    """Allows a value for all channels, or a list of one for each."""
    return either(check, Check(lambda value: isinstance(value, list) and 0 < len(value) <= MAX_EXPANDED
                               and all(map(check.allows, value)), "a list of them"))
