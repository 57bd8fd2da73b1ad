"""The proof of a promise: how much of it is done, within what time, and what came out, as rows of one table.

The same code runs with small counts in ``make test`` and with the full ones in ``make soak``. What hangs on a clock is
told in both and decides in ``make soak`` only: a machine that runs a whole suite proves nothing about milliseconds.
"""

import time
from collections.abc import Iterator
from typing import NamedTuple, TypeVar

Number = TypeVar("Number", int, float)


class Row(NamedTuple):
    """One line of the table."""

    promise: str
    what: str
    counted: str
    bar: str
    measured: str
    held: bool
    decides: bool = True
    """False: told only"""
    cut: str = ""
    """why fewer were counted than should be"""

    @property
    def cells(self) -> tuple[str, ...]:
        counted = f"{self.counted}; {self.cut}" if self.cut else self.counted
        held = "yes" if self.held else "**NO**" if self.decides else "not now"
        return self.promise, self.what, counted, self.bar, self.measured, held


HEAD = (*Row("promise", "what", "counted", "bar", "measured", held=True).cells[:5], "held")


class Proof:
    """What a test does of its promise. After `seconds` it counts no further and the table says so."""

    def __init__(self, promise: str, seconds: float, *, soak: bool) -> None:
        self.promise = promise
        self.soak = soak
        self.rows: list[Row] = []
        self._seconds = seconds
        self._until = time.monotonic() + seconds
        self._cut = ""

    @property
    def seconds_left(self) -> float:
        return self._until - time.monotonic()

    def full(self, small: Number, full: Number) -> Number:
        """The full number in ``make soak``, else the small one."""
        return full if self.soak else small

    def rounds(self, small: int, full: int) -> Iterator[int]:
        """0, 1, …: as many as there should be, or as many as there is time for."""
        wanted = self.full(small, full)
        for number in range(wanted):
            if self.is_over(f"{number:,} of {wanted:,}"):
                return
            yield number

    def is_over(self, reached: str) -> bool:
        """Whether the time is up; `reached` then stands in the table."""
        if self.seconds_left > 0:
            return False
        self._cut = f"cut at {reached} by its bound of {self._seconds:,.0f} s"
        return True

    def show(self, what: str, *, counted: object, bar: str, measured: object, held: bool, timed: bool = False) -> None:
        """Add a row. One that does not hold fails the test at its end; a `timed` one only in ``make soak``."""
        shown = [f"{value:,}" if isinstance(value, int) else str(value) for value in (counted, measured)]
        decides = self.soak or not timed
        self.rows.append(Row(self.promise, what, shown[0], bar, shown[1], held, decides, self._cut))

    @property
    def broken(self) -> list[str]:
        """What did not hold."""
        return [
            f"{row.what}: {row.measured}, the bar is {row.bar}" for row in self.rows if row.decides and not row.held
        ]


def table(rows: list[Row]) -> str:
    """All rows as Markdown, in the order of their promises."""
    cells = [HEAD, tuple("---" for _ in HEAD), *(row.cells for row in sorted(rows, key=lambda row: row.promise))]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)
