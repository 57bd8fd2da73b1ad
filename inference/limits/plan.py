"""One combination of limits, prepared: the commands for it are encoded but for what differs from request to request."""

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from inference.contract import limits as contract
from inference.contract.budgets import COST
from inference.contract.limits import LimitEntry
from inference.redis_pipeline import bulk

from . import scripts
from .slices import Allowance, Charge, Party


class Dimension(StrEnum):
    """What can bind a request; goes unchanged into the answer, the log and the metric."""

    REQUESTS = "requests_per_minute"
    TOKENS = "tokens_per_minute"
    CONCURRENCY = "concurrency"


class Bound(NamedTuple):
    """One limit of one subject, in the order in which the script answers."""

    dimension: Dimension
    limit: int
    name: str


class Spend(NamedTuple):
    """What a request may take of budgets, or has taken: tokens and micro-units of cost."""

    tokens: int = 0
    cost: int = 0

    def of(self, unit: str) -> int:
        return self.cost if unit == COST else self.tokens


NOTHING = Spend()
MOST_IN_A_TURN = 64
"""requests that end, and as many that begin: Redis does nothing else meanwhile"""
_COUNTS = tuple(map(bulk, range(MOST_IN_A_TURN + 1)))


class _Encoded(NamedTuple):
    """What is constant within a generation."""

    generation: str
    keys: tuple[bytes, ...]
    said: bytes
    whole: bytes
    """command, keys and what is said of the limits, when there are no budgets whose keys would come in between"""
    words: int
    """of a turn without requests"""


def _bounds(entry: LimitEntry) -> Iterator[Bound]:
    for dimension in Dimension:
        if (limit := getattr(entry, dimension.value)) is not None:
            yield Bound(dimension, limit, entry.name)


def _command(keys: int) -> bytes:
    return scripts.TURN.command + bulk(keys)


def _whose(entry: LimitEntry) -> str:
    """A subject as its users call it."""
    if entry.shared:
        return f"model {entry.route}"
    who = f"API key {entry.key}" if entry.key else f"project {entry.project}"
    return f"{who} on model {entry.route}" if entry.route else who


def ended(lease: str, tick: int, change: int) -> bytes:
    """A request that is over, for a turn: `change` is the tokens used minus the tokens reserved at `tick`."""
    who, at, more = lease.encode(), b"%d" % tick, b"%d" % change
    return b"$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(who), who, len(at), at, len(more), more)


def asking(lease: str, tokens: int) -> bytes:
    """A request that asks to be let in, for a turn."""
    who, cost = lease.encode(), b"%d" % tokens
    return b"$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(who), who, len(cost), cost)


class Plan:
    """The limits of one kind of request. `bounds` are its limits; `slots` names the subjects with slots, and so on."""

    def __init__(self, limits: tuple[LimitEntry, ...], gateways: int, lease_ms: int) -> None:
        self._gateways, self._lease_ms = gateways, lease_ms
        self.limits = tuple(entry for entry in limits if any(_bounds(entry)))
        self.bounds = tuple(bound for entry in self.limits for bound in _bounds(entry))
        of: Callable[[Dimension], tuple[str, ...]] = lambda d: tuple(b.name for b in self.bounds if b.dimension is d)  # noqa: E731
        self.counted, self.metered, self.slots = of(Dimension.REQUESTS), of(Dimension.TOKENS), of(Dimension.CONCURRENCY)
        self.rates = [
            (entry.name, int(entry.requests_per_minute is not None), entry.tokens_per_minute is not None)
            for entry in self.limits
            if entry.requests_per_minute is not None or entry.tokens_per_minute is not None
        ]
        self.windows = tuple(
            (
                dimension,
                tuple((at, bound.limit) for at, bound in enumerate(self.bounds) if bound.dimension is dimension),
            )
            for dimension in (Dimension.REQUESTS, Dimension.TOKENS)
        )
        """what the headers tell: of each kind the places in `bounds`, and the limits"""
        self.allowances = tuple(
            Allowance(budget, entry.project, _whose(entry)) for entry in limits for budget in entry.budgets
        )
        self._encoded: _Encoded | None = None

    def needs(self, spend: Spend) -> tuple[int, ...]:
        """What to reserve of each budget."""
        return tuple(spend.of(allowance.budget.unit) for allowance in self.allowances)

    def turn(self, generation: str, over: Sequence[bytes], begins: Sequence[bytes]) -> bytes:
        """The command that settles some requests and decides others, none of them with budgets."""
        encoded = self._within(generation)
        words = encoded.words + 3 * len(over) + 2 * len(begins)
        counts = _COUNTS[len(over)], _COUNTS[len(begins)]
        return b"*%d\r\n%b%b%b%b%b" % (words, encoded.whole, counts[0], b"".join(over), counts[1], b"".join(begins))

    def turn_charged(self, party: Party, begins: bytes, charges: tuple[Charge, ...]) -> bytes:
        """The command that decides one request with budgets."""
        encoded = self._within(party.holder)
        keys = (*encoded.keys, party.touched, *(charge.slice.encoded for charge in charges))
        budgets = (
            *(bulk(allowance.budget.amount) for allowance in self.allowances), party.encoded_process,
            *(bulk(charge.amount) for charge in charges),
        )  # fmt: skip
        words = encoded.words + len(keys) - len(encoded.keys) + 2 + len(budgets)
        return b"".join(
            (b"*%d\r\n" % words, _command(len(keys)), *keys, encoded.said, _COUNTS[0], _COUNTS[1], begins, *budgets)
        )

    def _within(self, generation: str) -> _Encoded:
        encoded = self._encoded
        if encoded is None or encoded.generation != generation:
            encoded = self._encoded = self._encode(generation)
        return encoded

    def _encode(self, generation: str) -> _Encoded:
        keys = [contract.STATE, contract.members_key(generation)]
        marks = contract.settled_key(generation, "")
        said = [generation, str(self._gateways), str(self._lease_ms), marks, str(len(self.limits))]
        for entry in self.limits:
            limits = (entry.requests_per_minute, entry.tokens_per_minute, entry.concurrency)
            said += [str(-1 if limit is None else limit) for limit in limits]
            if limits[:2] != (None, None):
                keys.append(contract.window_key(generation, entry.name))
            if entry.concurrency is not None:
                keys.append(contract.slots_key(generation, entry.name))
        encoded, arguments = tuple(map(bulk, keys)), b"".join(map(bulk, said))
        whole = b"".join((_command(len(keys)), *encoded, arguments))
        return _Encoded(generation, encoded, arguments, whole, 3 + len(keys) + len(said) + 2)
