"""Whatever happens to gateways, Redis and the ledger's connection, in any order: no token too much, and none lost."""

import asyncio
import pprint
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from inference.contract import limits as contract
from inference.limits import Lease, Limiter, LimitError, Spend, limiter
from inference.limits import budgets as budgets_module
from inference.limits.slices import Slice
from tests.inference.books import Books

from .conftest import Valkey

AMOUNT = 200
LEASE_SECONDS = 1.5
WHO = st.integers(0, 1)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("admit"), WHO, st.integers(1, 40)),
        st.tuples(st.just("admit"), WHO, st.integers(1, 40)),
        st.tuples(st.just("settle"), WHO, st.integers(0, 40)),
        st.tuples(st.sampled_from(["cut_off", "unplug", "crash", "flush", "rest"]), WHO),
    ),
    min_size=5,
    max_size=40,
)


class World:
    """Two gateways, one Redis, one ledger; and what truly was spent."""

    def __init__(self, valkey: Valkey, books: Books) -> None:
        self.valkey, self.books = valkey, books
        self.entry = books.limit(tokens_per_day=AMOUNT)
        self.limiters: list[Limiter] = []
        self.running: list[list[Lease]] = [[], []]
        self.spent = 0
        self.crashed = self.in_doubt = False

    async def __aenter__(self) -> "World":
        for table in ("party", "account"):
            self.books.ask(f"DELETE FROM budget_{table}")
        with self.valkey.client() as client:
            client.flushall()
        self.limiters = [await self.started(), await self.started()]
        return self

    async def __aexit__(self, *_: object) -> None:
        for one in self.limiters:
            await one.close()

    async def started(self) -> Limiter:
        made = Limiter(self.valkey.url, self.books.url, gateways=2, lease=LEASE_SECONDS)
        await made.start()
        return made

    async def admit(self, who: int, tokens: int) -> bool:
        try:
            self.running[who].append(await self.limiters[who].admit((self.entry,), 0, Spend(tokens)))
        except LimitError:
            return False
        assert self.spent + self.reserved <= AMOUNT
        return True

    @property
    def reserved(self) -> int:
        return sum(lease.charges[0].amount for leases in self.running for lease in leases)

    async def settle(self, who: int, tokens: int) -> None:
        if self.running[who]:
            lease = self.running[who].pop(tokens % len(self.running[who]))
            used = min(tokens, lease.charges[0].amount)
            lease.settle(used)
            self.spent += used

    async def cut_off(self, who: int) -> None:
        self.limiters[who]._pipeline.drop()

    async def unplug(self, who: int) -> None:
        self.limiters[who]._budgets._ledger.close()

    async def crash(self, who: int) -> None:
        """Its requests die with it, and nobody charges them.

        What it had leased for itself while it was cut off from Redis counts as spent, and so does what it shared of a
        Redis that was emptied: only it could tell.
        """
        dead = self.limiters[who]
        with self.valkey.client() as client:
            present = client.hget(contract.STATE, "generation")
        held = [dead._budgets._shared, dead._budgets._alone, *dead._budgets._leaving]
        self.in_doubt = self.in_doubt or any(party and party.holder != present for party in held)
        dead._task.cancel()  # type: ignore[union-attr]
        for task in dead._budgets._tasks:
            task.cancel()
        await dead._pipeline.close()
        await self.unplug(who)
        await asyncio.sleep(0.02)  # what it has sent arrives
        self.running[who] = []
        self.spent -= sum(
            self.untold(slice_, party.process) for party in held if party for slice_ in [*party.slices.values()]
        )
        self.crashed = True
        self.limiters[who] = await self.started()

    def untold(self, slice_: Slice, process: str) -> int:
        """What it had spent and not been able to tell anybody."""
        lines = self.books.ask(
            "SELECT l.spent FROM budget_line l JOIN budget_slice s ON s.id = l.slice_id"
            " WHERE l.process = %s AND s.holder = %s",
            process, slice_.key.split(":")[2],
        )  # fmt: skip
        with self.valkey.client() as client:
            told = int(client.hget(slice_.key, f"s:{process}") or 0)
        return slice_.spent - max([told, *(line["spent"] for line in lines)])

    async def flush(self, _who: int) -> None:
        self.in_doubt = self.in_doubt or self.crashed
        with self.valkey.client() as client:
            client.flushall()

    async def rest(self, _who: int) -> None:
        await asyncio.sleep(0.12)

    async def everything_left_can_be_had(self, seconds: float) -> bool:
        for leases in self.running:
            for lease in leases:
                lease.settle(0)
            leases.clear()
        end = time.monotonic() + seconds
        while self.spent < AMOUNT and not await self.admit(0, AMOUNT - self.spent):
            if time.monotonic() > end:
                return False
            await asyncio.sleep(0.05)
        assert not await self.admit(1, 1)
        return True

    def told(self) -> str:
        """How everything stands, for a failure's message."""
        tables = {name: self.books.ask(f"SELECT * FROM budget_{name}") for name in ("slice", "line", "party")}
        with self.valkey.client() as client:
            slices = {key: client.hgetall(key) for key in client.scan_iter("*:b:*")}
        return pprint.pformat(
            {"spent": self.spent, "account": self.books.account(self.entry), **tables, "redis": slices}
        )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limiter, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(budgets_module, "REPORT_SECONDS", 0.05)


async def live(world: World, steps: list[tuple[Any, ...]]) -> None:
    async with world:
        for verb, *arguments in steps:
            await getattr(world, verb)(*arguments)
        if world.in_doubt:  # a gateway and Redis died together: what neither can tell counts as spent
            await world.everything_left_can_be_had(1)
        else:
            assert await world.everything_left_can_be_had(12), world.told()
    assert not world.books.discrepancies()


@pytest.mark.usefixtures("quick")
def test_not_a_token_too_much_and_none_lost(valkey: Valkey, books: Books) -> None:
    @settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(steps=STEPS)
    @example(steps=[("admit", 0, 30), ("cut_off", 0), ("settle", 0, 10), ("rest", 0), ("admit", 1, 40), ("flush", 0)])
    @example(steps=[("admit", 0, 30), ("admit", 1, 30), ("settle", 0, 30), ("crash", 0), ("admit", 0, 40)])
    def histories(steps: list[tuple[Any, ...]]) -> None:
        asyncio.run(live(World(valkey, books), steps))

    histories()
