"""Budgets: so many tokens, or so much cost, in a day or a month; and the ledger in PostgreSQL that keeps them.

**Amounts** are whole numbers. Tokens are the engine's count of prompt and answer together. Cost is in micro-units: a
million of them are one unit of whatever currency the prices are meant in. A `Price` is in micro-units for a million
tokens, so 2.50 units for a million tokens are written 2_500_000, and one token may cost less than a micro-unit.

**Periods** are days and months of the instance's time zone (``TZ``). The ledger's clock, PostgreSQL's ``now()``, says
which one it is and when it ends; Redis's clock, set against that, says when a slice is over.

**The ledger's tables** (made by a migration of the control plane, written by the functions below only):

- ``budget_account``  a budget in a period: ``spent``; ``leased``, what was granted to slices and is not spent yet;
  ``folded``, the part of ``spent`` whose slices are gone; ``version`` counts its changes. What is free is the limit's
  own number minus ``spent`` minus ``leased``.
- ``budget_slice``    what of it a *holder* was granted in all, and what that holder spent in all. A holder is a
  generation of Redis's counters, or one gateway process that has to do without Redis.
- ``budget_line``     what one process says it spent in all from that slice. It only grows: saying it twice is no harm.
- ``budget_party``    which process takes part in which holder; whether it has ``finished``, that is said its last word;
  and whether it knows the holder to be ``gone``.

When a holder is gone and all its parties have finished, what its slices did not spend is free again. As long as
somebody may still have something to say, what was granted counts as if it were spent: nothing is ever given out twice.

**The functions**, called by gateways outside any transaction, each answering one value of jsonb:

- ``lease_budgets(holder text, process text, wanted jsonb)``: for each `Wanted`, grant what is needed, or what is left,
  and answer a `Told`. Beyond the need it grants at most the eighth part of what is free, so that slices shrink
  towards the end of a budget.
- ``report_budgets(holder text, process text, spent jsonb, finished boolean, gone boolean)``: take each `Spent` down.
"""

import msgspec

DIMENSIONS = ("tokens_per_day", "tokens_per_month", "cost_micros_per_day", "cost_micros_per_month")
TOKENS, COST = "tokens", "cost"
MICROS = 1_000_000
"""micro-units in one unit of cost; also the number of tokens that a price is for"""
HIGHEST = 10**15
"""of any amount: Redis's scripts count exactly up to 2^53"""
HIGHEST_PRICE = 10**12
LEASE = "SELECT lease_budgets($1, $2, $3)"
REPORT = "SELECT report_budgets($1, $2, $3, $4, $5)"
SILENCE = (
    "SELECT coalesce(extract(epoch FROM clock_timestamp() - max(seen_at)), 1e9) FROM budget_party"
    " WHERE holder = $1 AND process = $2"
)
"""seconds since the ledger has heard of a process"""


class Budget(msgspec.Struct, frozen=True):
    """One budget of a limit. `limit` is the id of the limit's row, which the ledger asks for the amount that holds."""

    limit: str
    dimension: str
    """of `DIMENSIONS`"""
    amount: int
    zone: str = "UTC"
    """IANA name of the time zone whose days and months count"""

    @property
    def unit(self) -> str:
        """`TOKENS` or `COST`."""
        return COST if self.dimension.startswith("cost") else TOKENS

    @property
    def span(self) -> str:
        """``day`` or ``month``."""
        return self.dimension.rpartition("_")[2]


class Price(msgspec.Struct, frozen=True):
    """What a million tokens of a model version cost, in micro-units."""

    prompt: int = 0
    completion: int = 0

    def of(self, prompt_tokens: int, completion_tokens: int) -> int:
        """Micro-units, rounded up."""
        return -(-(prompt_tokens * self.prompt + completion_tokens * self.completion) // MICROS)


FREE = Price()


class Wanted(msgspec.Struct, frozen=True):
    """What a gateway asks the ledger for. `need` serves those who wait, `wish` those who may come."""

    limit: str
    dimension: str
    zone: str
    need: int
    wish: int


class Told(msgspec.Struct, frozen=True):
    """What the ledger answers. When `amount` is None, there is no such budget any more and nothing else counts."""

    item: int
    """which of those asked for, from 0"""
    amount: int | None = None
    """of the whole budget"""
    period: str = ""
    """``2026-11-22`` or ``2026-11``"""
    left_ms: int = 0
    """until the period ends"""
    renews: str = ""
    """when that is, for people"""
    granted: int = 0
    """to this holder in all"""
    others: int = 0
    """spent by or granted to all other holders in this period"""
    free: int = 0
    """what the ledger could still grant; not above 0 when there is nothing"""
    version: int = 0
    """a later word about the same account has a higher one"""


class Spent(msgspec.Struct, frozen=True):
    """What a process has spent in all from one slice."""

    limit: str
    dimension: str
    period: str
    spent: int


encode = msgspec.json.Encoder().encode
decode_told = msgspec.json.Decoder(list[Told]).decode
