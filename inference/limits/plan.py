"""One combination of limits, prepared: the commands for it are encoded but for what differs from request to request."""

from collections.abc import Callable, Iterator
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


class _Encoded(NamedTuple):
    """What is constant within a generation."""

    generation: str
    admit: bytes
    keys: int
    """of `admit`, which ends with the last of them when there are budgets"""
    said: bytes
    arguments: int
    settle: bytes
    mark_size: int


def _bounds(entry: LimitEntry) -> Iterator[Bound]:
    for dimension in Dimension:
        if (limit := getattr(entry, dimension.value)) is not None:
            yield Bound(dimension, limit, entry.name)


def _commanded(count: int, sha: str, keys: int) -> bytes:
    return b"*%d\r\n" % (3 + count) + bulk("EVALSHA") + bulk(sha) + bulk(keys)


def _joined(values: list[str]) -> bytes:
    return b"".join(map(bulk, values))


def _whose(entry: LimitEntry) -> str:
    """A subject as its users call it."""
    if entry.shared:
        return f"model {entry.route}"
    who = f"API key {entry.key}" if entry.key else f"project {entry.project}"
    return f"{who} on model {entry.route}" if entry.route else who


def _settlement(generation: str, windows: list[str], slots: list[str]) -> tuple[bytes, int]:
    """What settles, but for lease, tick and change, as a format; and the length of its first key without the lease."""
    keys, mark = windows + slots, contract.settled_key(generation, "").encode()
    head = _commanded(1 + len(keys) + 3 + len(keys), scripts.SETTLE.sha, 1 + len(keys))
    kinds = _joined(["w"] * len(windows) + ["s"] * len(slots))
    varying = b"$%d\r\n%b\r\n" * 3
    first = b"$%d\r\n" + _literal(mark) + b"%b\r\n"
    return b"".join((_literal(head), first, _literal(_joined(keys)), varying, _literal(kinds))), len(mark)


def _literal(raw: bytes) -> bytes:
    return raw.replace(b"%", b"%%")


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

    def admit(self, generation: str, lease: str, tokens: int) -> bytes:
        """The command that decides a request without budgets."""
        encoded = self._encoded
        if encoded is None or encoded.generation != generation:
            encoded = self._encoded = self._encode(generation)
        asked, cost = lease.encode(), b"%d" % tokens
        return b"%b$%d\r\n%b\r\n$%d\r\n%b\r\n" % (encoded.admit, len(asked), asked, len(cost), cost)

    def admit_charged(self, party: Party, lease: str, tokens: int, charges: tuple[Charge, ...]) -> bytes:
        """The command that decides a request with budgets."""
        encoded = self._encoded
        if encoded is None or encoded.generation != party.holder:
            encoded = self._encoded = self._encode(party.holder)
        count = len(charges)
        keys = encoded.keys + 1 + count
        return b"".join(
            (
                _commanded(keys + encoded.arguments + 1 + count + 2, scripts.ADMIT.sha, keys),
                encoded.admit, party.touched, *(charge.slice.encoded for charge in charges), encoded.said,
                party.encoded_process, *(bulk(charge.amount) for charge in charges), bulk(lease), bulk(tokens),
            )
        )  # fmt: skip

    def settle(self, generation: str, lease: str, tick: int, change: int) -> bytes:
        """The command that ends a request."""
        encoded = self._encoded
        if encoded is None or encoded.generation != generation:
            encoded = self._encoded = self._encode(generation)
        ended, at, more = lease.encode(), b"%d" % tick, b"%d" % change
        return encoded.settle % (
            encoded.mark_size + len(ended), ended, len(ended), ended, len(at), at, len(more), more,
        )  # fmt: skip

    def _encode(self, generation: str) -> _Encoded:
        keys = [contract.STATE, contract.members_key(generation)]
        said = [generation, str(self._gateways), str(self._lease_ms), str(len(self.limits))]
        windows, slots = [], []
        for entry in self.limits:
            limits = (entry.requests_per_minute, entry.tokens_per_minute, entry.concurrency)
            said += [str(-1 if limit is None else limit) for limit in limits]
            if limits[:2] != (None, None):
                keys.append(contract.window_key(generation, entry.name))
            if entry.tokens_per_minute is not None:
                windows.append(keys[-1])
            if entry.concurrency is not None:
                keys.append(contract.slots_key(generation, entry.name))
                slots.append(keys[-1])
        if self.allowances:
            said += [str(allowance.budget.amount) for allowance in self.allowances]
            admit = _joined(keys)
        else:
            admit = _commanded(len(keys) + len(said) + 2, scripts.ADMIT.sha, len(keys)) + _joined(keys) + _joined(said)
        return _Encoded(
            generation,
            admit, len(keys), _joined(said), len(said),
            *_settlement(generation, windows, slots),
        )  # fmt: skip
