"""What a check found."""

from dataclasses import asdict, dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor: `what` is, and, when it is not well, `todo` mends it."""

    level: Level
    name: str
    what: str
    todo: str = ""

    def __str__(self) -> str:
        todo = f" — {self.todo}" if self.todo else ""
        return f"{self.level:<4} {self.name}: {self.what}{todo}"

    def as_dict(self) -> dict[str, str]:
        return {name: str(value) for name, value in asdict(self).items()}


def ok(name: str, what: str) -> Finding:
    return Finding(Level.OK, name, what)


def warn(name: str, what: str, todo: str) -> Finding:
    return Finding(Level.WARN, name, what, todo)


def fail(name: str, what: str, todo: str) -> Finding:
    return Finding(Level.FAIL, name, what, todo)


def first_line(exc: BaseException) -> str:
    """An exception in one line; some say nothing but their name."""
    return str(exc).strip().partition("\n")[0] or type(exc).__name__
