"""How often signing in may be tried: the arithmetic. Pure; `attempts` keeps the states.

Up to `free` attempts follow each other at once. The last of them already sets the lock that a success takes away again,
so that attempts made at the same moment cannot pass together. After each lock one more attempt is let through, and the
next lock is twice as long.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """What becomes of an attempt."""

    ADMITTED = "admitted"
    LOCKED = "locked"


class Policy(NamedTuple):
    """How patient we are."""

    free: int
    first_lock: timedelta
    longest_lock: timedelta
    forgotten_after: timedelta


# An account: a person mistypes three or four times. 15 minutes at most, because anybody can lock somebody else out.
ACCOUNT = Policy(5, timedelta(minutes=1), timedelta(minutes=15), timedelta(hours=24))
# An address: an office shares one, so it has more patience; guessing through many accounts ends here.
ADDRESS = Policy(20, timedelta(minutes=1), timedelta(hours=1), timedelta(hours=24))


class State(NamedTuple):
    """What is known of one account name or address. `attempts` have not been followed by a success."""

    attempts: int = 0
    last_at: datetime | None = None
    locked_until: datetime | None = None
    refused: int = 0

    def locked_at(self, now: datetime) -> bool:
        return self.locked_until is not None and self.locked_until > now


def attempt(state: State, policy: Policy, now: datetime) -> tuple[Verdict, State]:
    """Whether an attempt is let through, and what is known afterwards. One that meets the lock makes it no longer."""
    if state.locked_at(now):
        return Verdict.LOCKED, state._replace(refused=state.refused + 1)
    forgotten = state.last_at is None or now - state.last_at >= policy.forgotten_after
    made = 1 if forgotten else state.attempts + 1
    return Verdict.ADMITTED, State(made, now, _locked_until(made, policy, now), 0 if forgotten else state.refused)


def _locked_until(made: int, policy: Policy, now: datetime) -> datetime | None:
    if made < policy.free:
        return None
    doublings = min(made - policy.free, 20)  # far beyond the longest lock, and no overflow
    return now + min(policy.first_lock * (1 << doublings), policy.longest_lock)


def take_back(state: State) -> State:
    """After a success, for what must not forget: the attempt never was, the earlier ones stay."""
    return state._replace(attempts=max(state.attempts - 1, 0), locked_until=None)
