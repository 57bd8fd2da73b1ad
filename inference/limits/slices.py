"""What this process has taken of leased slices: its own totals, from which Redis and the ledger can be set right."""

from typing import NamedTuple

from inference.contract import limits as contract
from inference.contract.budgets import Budget, Spent, Told
from inference.redis_pipeline import bulk

DRY_SECONDS = 1.0
"""For so long the ledger's word that nothing is left is not asked for again: refusals cost it nothing."""
SLICE_SECONDS = 10.0
"""A slice should last for so long at the pace of late …"""
SLICE_REQUESTS = 4
"""… or for so many more requests like the one that asks for it."""


class Allowance(NamedTuple):
    """A budget as a request meets it. `whose` is its subject in words."""

    budget: Budget
    project: str
    whose: str

    @property
    def key(self) -> tuple[str, str]:
        return self.budget.limit, self.budget.dimension


class Period(NamedTuple):
    """A day or a month. `until_ms` is its end on Redis's clock, `renews` the same for people."""

    name: str
    until_ms: int
    renews: str


class Slice:
    """This process's account with one slice: how much its requests hold reserved, how much they have spent."""

    __slots__ = (
        "_since", "_taken", "allowance", "asked", "encoded", "free", "granted", "key", "low", "others", "period",
        "reported", "reserved", "spent", "told_at", "version",
    )  # fmt: skip

    def __init__(self, allowance: Allowance, period: Period, holder: str) -> None:
        self.allowance, self.period = allowance, period
        self.key = contract.slice_key(holder, allowance.project, allowance.budget, period.name)
        self.encoded = bulk(self.key)
        self.reserved = self.spent = 0
        self.reported = 0
        """of `spent`, what the ledger has acknowledged"""
        self.granted = self.others = 0
        self.free: int | None = None
        """what the ledger could still grant when it was last asked; None: it was not"""
        self.version = -1
        self.told_at = 0.0
        self.low = 0
        """less than that in the slice is a reason to lease more before anybody waits for it"""
        self.asked = False
        """a lease is under way that nobody waits for"""
        self._taken, self._since = 0, 0.0

    def reserve(self, amount: int) -> None:
        self.reserved += amount
        self._taken += amount

    def dry(self, now: float) -> bool:
        """The ledger has said a moment ago that there is nothing left. `now` is monotonic, in seconds."""
        return self.free is not None and self.free <= 0 and now - self.told_at < DRY_SECONDS

    def left(self, amount: int) -> int:
        """What a process that has this slice for itself may still reserve, if the budget is `amount` now."""
        return min(self.granted, amount - self.others) - self.reserved - self.spent

    def wish(self, need: int, now: float) -> int:
        """How much to lease at best, when `need` is what one request takes."""
        pace = self._taken / max(now - self._since, 1.0)
        self._taken, self._since = 0, now
        return max(int(pace * SLICE_SECONDS), SLICE_REQUESTS * need)

    def hear(self, told: Told, now: float) -> None:
        """Take the ledger's word, if it is its latest."""
        self.asked = False
        if told.version < self.version:
            return
        self.low = (told.granted - self.granted) // 4
        self.granted, self.others, self.free, self.version = told.granted, told.others, told.free, told.version
        self.told_at = now

    def saying(self) -> Spent:
        """What the ledger has to hear."""
        limit, dimension = self.allowance.key
        return Spent(limit, dimension, self.period.name, self.spent)


class Charge(NamedTuple):
    """What a request has reserved of one slice."""

    slice: Slice
    amount: int


class Party:
    """This process's part in one holder: a generation of Redis's counters, or itself alone."""

    def __init__(self, holder: str, process: str, *, alone: bool) -> None:
        self.holder, self.process, self.alone = holder, process, alone
        self.slices: dict[tuple[str, str, str], Slice] = {}
        self.live = 0
        """requests that have something reserved"""
        self.dirty: set[Slice] = set()
        """what the ledger has not heard of yet"""
        self.unsure: set[Slice] = set()
        """what Redis may have heard of or not"""
        self.silent = False
        """somebody may have said to the ledger that this process has finished"""
        self.entered = False
        """Redis knows this process"""
        self.gone = False
        """the holder's slices do not exist any more"""
        self.touched = bulk(contract.touched_key(holder, process))
        self.encoded_process = bulk(process)
        self._periods: dict[tuple[str, str], Period] = {}

    def open(self, allowances: tuple[Allowance, ...], now_ms: int) -> tuple[Slice, ...] | None:
        """The slices for these budgets in the present periods; None when the ledger has to say which those are."""
        found = []
        for allowance in allowances:
            budget = allowance.budget
            period = self._periods.get((budget.zone, budget.span))
            if period is None or now_ms >= period.until_ms:
                return None
            found.append(self.slice(allowance, period))
        return tuple(found)

    def slice(self, allowance: Allowance, period: Period) -> Slice:
        name = (*allowance.key, period.name)
        found = self.slices.get(name)
        if found is None:
            found = self.slices[name] = Slice(allowance, period, self.holder)
        return found

    def hear(self, allowance: Allowance, told: Told, *, now_ms: int, now: float) -> Slice:
        """The ledger has told about a budget, and with it which period it is."""
        period = Period(told.period, now_ms + told.left_ms, told.renews)
        self._periods[allowance.budget.zone, allowance.budget.span] = period
        found = self.slice(allowance, period)
        found.hear(told, now)
        return found

    def forget_periods(self) -> None:
        """One of them is over: the ledger has to be asked."""
        self._periods.clear()

    def reserve(self, charges: tuple[Charge, ...]) -> None:
        self.live += 1
        for slice_, amount in charges:
            slice_.reserve(amount)

    def settle(self, charges: tuple[Charge, ...], spent: tuple[int, ...]) -> None:
        self.live -= 1
        for (slice_, reserved), used in zip(charges, spent, strict=True):
            slice_.reserved -= reserved
            slice_.spent += used
            if used:
                self.dirty.add(slice_)

    def doubt(self, charges: tuple[Charge, ...]) -> None:
        """Redis may have heard of these, or not."""
        self.unsure.update(slice_ for slice_, _ in charges)

    def reported(self, said: list[tuple[Slice, Spent]]) -> None:
        """The ledger has acknowledged this."""
        for slice_, word in said:
            slice_.reported = word.spent
            if slice_.spent == word.spent:
                self.dirty.discard(slice_)

    def drop_past(self, now_ms: int) -> None:
        """Forget slices of periods that are over, once nothing hangs on them."""
        for name, slice_ in list(self.slices.items()):
            if slice_.period.until_ms < now_ms and not slice_.reserved and slice_ not in self.dirty:
                del self.slices[name]
                self.unsure.discard(slice_)
