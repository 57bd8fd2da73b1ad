"""A route's own time-outs: what may stand in them."""

import math

import msgspec
from django.utils.translation import gettext as _

from controlplane.errors import Invalid
from inference.contract.tables import TimeoutsEntry

SHORTEST, LONGEST = 0.1, 7200.0
"""seconds"""
NAMES = ("connect", "first_byte", "chunk", "total")


def check(timeouts: TimeoutsEntry) -> None:
    """Raise `Invalid` for one that is out of range, or longer than all of it may take."""
    given = {name: seconds for name in NAMES if (seconds := getattr(timeouts, name)) is not None}
    for name, seconds in given.items():
        if not math.isfinite(seconds) or not SHORTEST <= seconds <= LONGEST:
            message = _("%(name)s lies between %(least)s and %(most)s seconds.")
            raise Invalid(message % {"name": name, "least": SHORTEST, "most": int(LONGEST)}, field="timeouts")
    for name, seconds in given.items():
        if seconds > given.get("total", LONGEST):
            message = _("%(name)s is longer than total: it would never come to pass.")
            raise Invalid(message % {"name": name}, field="timeouts")


def stored(timeouts: TimeoutsEntry) -> dict[str, float]:
    """Those that are given, as JSON."""
    return {name: seconds for name in NAMES if (seconds := getattr(timeouts, name)) is not None}


def read(timeouts: object) -> TimeoutsEntry:
    """What `stored` gave. Raises `msgspec.ValidationError` for anything else."""
    return msgspec.convert(timeouts, TimeoutsEntry)
