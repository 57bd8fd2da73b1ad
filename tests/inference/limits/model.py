"""What the scripts should do, in the plainest Python: everything that ever happened, summed up anew each time."""

from dataclasses import dataclass, field

from inference.contract.limits import LimitEntry

LEASE_MS = 30_000


@dataclass
class Reservation:
    at: int
    entries: tuple[LimitEntry, ...]
    tokens: int
    charged_later: list[tuple[int, int]] = field(default_factory=list)
    settled: bool = False


def counts(at: int, now: int) -> bool:
    """Whether the second of `at` is still one of the 61 that count."""
    return now // 1000 - at // 1000 <= 60


class Model:
    """Everything admitted so far."""

    def __init__(self) -> None:
        self.all: list[Reservation] = []

    def requests(self, name: str, now: int) -> int:
        limited = [r for r in self.all for e in r.entries if e.name == name and e.requests_per_minute is not None]
        return sum(counts(r.at, now) for r in limited)

    def tokens(self, name: str, now: int) -> int:
        limited = [r for r in self.all for e in r.entries if e.name == name and e.tokens_per_minute is not None]
        charges = [(r.at, r.tokens) for r in limited] + [charge for r in limited for charge in r.charged_later]
        return sum(tokens for at, tokens in charges if counts(at, now))

    def running(self, name: str, now: int) -> int:
        limited = [r for r in self.all for e in r.entries if e.name == name and e.concurrency is not None]
        return sum(not r.settled and r.at + LEASE_MS > now for r in limited)

    def fits(self, entries: tuple[LimitEntry, ...], tokens: int, now: int) -> bool:
        def within(limit: int | None, used: int, cost: int) -> bool:
            return limit is None or used + cost <= limit

        return all(
            within(e.requests_per_minute, self.requests(e.name, now), 1)
            and within(e.tokens_per_minute, self.tokens(e.name, now), tokens)
            and within(e.concurrency, self.running(e.name, now), 1)
            for e in entries
        )

    def used(self, entries: tuple[LimitEntry, ...], now: int) -> list[int]:
        """In the script's order."""
        result = []
        for e in entries:
            if e.requests_per_minute is not None:
                result.append(self.requests(e.name, now))
            if e.tokens_per_minute is not None:
                result.append(self.tokens(e.name, now))
            if e.concurrency is not None:
                result.append(self.running(e.name, now))
        return result

    def settle(self, reservation: Reservation, used: int, now: int) -> None:
        if reservation.settled:
            return
        reservation.settled = True
        if used > reservation.tokens:
            reservation.charged_later.append((now, used - reservation.tokens))
        else:
            reservation.tokens = used
