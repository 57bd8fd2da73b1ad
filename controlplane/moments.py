"""Which times can be taken from outside: those that PostgreSQL takes, and that every zone can write later on."""

from datetime import UTC, datetime, timedelta

FURTHEST_OFFSET = timedelta(hours=14)
"""of any zone there is; PostgreSQL takes no more than 16"""


def has_known_offset(moment: datetime) -> bool:
    """Whether it says how far from UTC it is meant, and that is as far as zones are."""
    offset = moment.utcoffset()
    return offset is not None and abs(offset) <= FURTHEST_OFFSET


def is_within_years(moment: datetime) -> bool:
    """Whether it lies in the years 1 to 9999 in every zone: Python knows no other, so a kept one could not be read."""
    try:
        in_utc = moment.astimezone(UTC)
        return in_utc - FURTHEST_OFFSET < in_utc + FURTHEST_OFFSET
    except OverflowError:
        return False
