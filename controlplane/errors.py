"""What an action refuses, by name. The REST API, the console and the commands show `message`; `code` stays stable.

Refused
├── NotAllowed      the actor may not do this
├── Conflict        it clashes with what is there
└── Invalid         a value is wrong; `field` names it
"""

from collections.abc import Iterator
from contextlib import contextmanager


class Refused(Exception):
    """The action was refused and changed nothing."""

    code = "refused"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code:
            self.code = code


class NotAllowed(Refused):
    code = "not_allowed"


class Conflict(Refused):
    code = "conflict"


class Invalid(Refused):
    code = "invalid"

    def __init__(self, message: str, *, field: str = "", code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.field = field


@contextmanager
def within(place: str) -> Iterator[None]:
    """Name the field of an `Invalid` by where it stands: ``limits[0].concurrency``."""
    try:
        yield
    except Invalid as exc:
        raise Invalid(exc.message, field=f"{place}.{exc.field}" if exc.field else place, code=exc.code) from exc
