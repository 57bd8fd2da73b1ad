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
    settle_head: bytes
    settle_keys: bytes
    settle_kinds: bytes


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
        return b"%b%b%b" % (encoded.admit, bulk(lease), bulk(tokens))

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
        mark = bulk(contract.settled_key(generation, lease))
        said = bulk(generation) + bulk(lease) + bulk(tick) + bulk(change)
        return b"".join((encoded.settle_head, mark, encoded.settle_keys, said, encoded.settle_kinds))

    def _encode(self, generation: str) -> _Encoded:
        keys = [contract.STATE, contract.members_key(generation)]
        said = [generation, str(self._gateways), str(self._lease_ms), str(len(self.limits))]
        taken, kinds = [], []
        for entry in self.limits:
            limits = (entry.requests_per_minute, entry.tokens_per_minute, entry.concurrency)
            said += [str(-1 if limit is None else limit) for limit in limits]
            if limits[:2] != (None, None):
                keys.append(contract.window_key(generation, entry.name))
            if entry.tokens_per_minute is not None:
                taken.append(keys[-1])
                kinds.append("w")
            if entry.concurrency is not None:
                keys.append(contract.slots_key(generation, entry.name))
                taken.append(keys[-1])
                kinds.append("s")
        count = len(taken)
        if self.allowances:
            said += [str(allowance.budget.amount) for allowance in self.allowances]
            admit = _joined(keys)
        else:
            admit = _commanded(len(keys) + len(said) + 2, scripts.ADMIT.sha, len(keys)) + _joined(keys) + _joined(said)
        return _Encoded(
            generation,
            admit, len(keys), _joined(said), len(said),
            _commanded(2 + count + 4 + count, scripts.SETTLE.sha, 2 + count) + bulk(contract.STATE),
            _joined(taken), _joined(kinds),
        )  # fmt: skip
