"""The limiter as the gateway uses it: `admit` before a request, `Lease.settle` after it."""

import asyncio
import contextlib
import secrets
from typing import NamedTuple

from inference.contract.limits import LimitEntry
from inference.redis_pipeline import RedisPipeline

from . import arithmetic
from .answers import BudgetExhausted, Lease, LimitExceeded, LimitsUnavailable
from .arithmetic import BUCKET_MS, Gauge, Header
from .budgets import Budgets
from .ledger import Ledger
from .ledger_client import LedgerClient
from .plan import NOTHING, Bound, Dimension, Plan, Spend, asking, ended
from .session import BEAT_SECONDS, Session, monotonic_ms
from .slices import Charge, Party
from .turns import Decision, Turns, read

PLANS_KEPT = 20_000
JOIN_PATIENCE = 0.003
"""Seconds that a request waits for a join under way: less than a decision may take."""
LEASE_PATIENCE = 0.25
"""Seconds that a request waits for the budgets' ledger, when its slice is empty and the ledger may have more."""
FIRST_LEASE_PATIENCE = 1.0
"""The same until this process has been connected once."""
DEAD_WAIT_MS = 1000
SETTLEMENT_KEPT_MS = 2 * arithmetic.WINDOW_MS


class _Settlement(NamedTuple):
    """Not acknowledged yet. `home` is the generation that holds the reservation; None when the next join says."""

    lease: Lease
    change: int
    home: str | None
    at: int


_Asking = tuple[Lease, "asyncio.Future[Decision | None]"]


class _Shortage(Exception):
    """A slice has too little. `left` is what each has; empty when that is to be asked again."""

    def __init__(self, left: tuple[int, ...], headers: list[Header] | None = None) -> None:
        super().__init__()
        self.left, self.headers = left, headers or []


class Limiter:
    """Decides for one gateway process. `gateways` is how many there are at most, this one included, on all machines.

    `place` (0 to gateways - 1) is this process's own number if it has one, which lets limits that do not divide be
    given out in full; a restarted process should take the same. `lease` is how long a slot outlives a dead gateway,
    `longest_request` after which no request runs any more (both in seconds). `database_url` leads to the ledger of
    budgets; without one, requests that have budgets are not let through.
    """

    def __init__(
        self,
        redis_url: str,
        database_url: str = "",
        *,
        gateways: int = 1,
        place: int | None = None,
        lease: float = 30.0,
        longest_request: float = 600.0,
        timeout: float = 0.25,
    ) -> None:
        self._gateways, self._place, self._lease_seconds = gateways, place, lease
        self._name = secrets.token_hex(5)
        self._count = 0
        self._plans: dict[tuple[LimitEntry, ...], Plan] = {}
        self._ledger = Ledger()
        self._live: dict[str, Lease] = {}
        self._unsettled: dict[str, _Settlement] = {}
        self._joined = asyncio.Event()
        self._pipeline = RedisPipeline(redis_url, timeout=timeout, on_connect=self._connected, on_lost=self._lost)
        self._session = Session(
            self._pipeline, self._ledger, self._held, gateways=gateways,
            member=f"place-{place}" if place is not None else self._name,
            lease_ms=int(lease * 1000), longest_ms=int(longest_request * 1000),
        )  # fmt: skip
        self._turns: Turns[_Asking] = Turns(
            self._pipeline, lambda: self._session.generation,
            on_decision=self._answered, on_settled=self._unsettled.pop, on_lost=self._given_up,
        )  # fmt: skip
        self._budgets = Budgets(
            LedgerClient(database_url), self._pipeline, self._name, self._session.now_ms, int(lease * 1000)
        )
        self._task: asyncio.Task[None] | None = None

    # -- life

    async def start(self, patience: float = 1.0) -> None:
        """Connect, for at most `patience` seconds; a Redis that is down is no error."""
        await self._pipeline.start()
        self._budgets.start()
        self._task = asyncio.create_task(self._beat())
        await self._pipeline.wait_connected(patience)

    async def close(self) -> None:
        """Leave in order. Settlements made before are delivered, if Redis is there."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._budgets.close()
        self._turns.flush()
        try:
            await self._session.leave()
        except Exception as exc:  # noqa: BLE001 - whatever is wrong with Redis, this process ends
            del exc
        self._session.lost()
        await self._pipeline.close()

    def expect_requests_of(self, seconds: float) -> None:
        """Some may run that long. It never becomes less: those that began under a longer time-out may still run."""
        self._session.longest_ms = max(self._session.longest_ms, int(seconds * 1000))

    @property
    def alive(self) -> bool:
        """Whether Redis decides; otherwise this process gives out its own share."""
        return self._session.generation is not None

    # -- the two verbs

    def plan(self, limits: tuple[LimitEntry, ...]) -> Plan:
        """The limits made ready for `admit`; worth keeping by who admits many requests with them."""
        return self._plans.get(limits) or self._prepare(limits)

    async def admit(self, limits: Plan | tuple[LimitEntry, ...], tokens: int = 0, spend: Spend = NOTHING) -> Lease:
        """Let one request through all its limits, or raise a `LimitError` and take nothing.

        `tokens` is what the request can cost at most: the prompt's estimate and max_tokens; `spend` is the same for its
        budgets. Ids are the limiter's own: a request's id may come from the client, who could hold one slot with many
        requests by repeating it.
        """
        prepared = limits if isinstance(limits, Plan) else self.plan(limits)
        self._count += 1
        lease = Lease(self, prepared, f"{self._name}-{self._count}", tokens)
        if prepared.allowances:
            return await self._admit_charged(lease, prepared.needs(spend))
        if not prepared.bounds:
            lease.settled = True
            return lease
        generation = self._session.generation
        if generation is None and self._session.joining:
            generation = await self._patience()
        decision = None if generation is None else await self._ask(lease)
        return self._decide_alone(lease) if decision is None else self._read(decision, lease)

    def settle(self, lease: Lease, change: int, spent: tuple[int, ...] = ()) -> None:
        """Called once by the lease: free its slots, correct its tokens by `change`, and charge its budgets."""
        if self._live.pop(lease.id, None) is not None:
            for name in lease.plan.slots:
                self._ledger.release(name)
        if lease.party is not None:
            self._budgets.settle(lease.party, lease.charges, spent)
        session = self._session
        alone = lease.generation is None and session.generation is None and not session.joining
        self._correct(lease, change, unsaid=alone)
        if alone or not (lease.plan.slots or (change and lease.plan.metered)):
            return
        home = lease.generation if session.generation is None else session.generation
        self._unsettled[lease.id] = _Settlement(lease, change, home, monotonic_ms())
        self._send_settlement(lease.id)

    # -- asking Redis

    def _prepare(self, limits: tuple[LimitEntry, ...]) -> Plan:
        if len(self._plans) >= PLANS_KEPT:
            self._plans.clear()
        prepared = self._plans[limits] = Plan(limits, self._gateways, int(self._lease_seconds * 1000))
        return prepared

    async def _patience(self) -> str | None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._joined.wait(), JOIN_PATIENCE)
        return self._session.generation

    async def _ask(self, lease: Lease) -> Decision | None:
        """Redis's decision; None when there is none to be had."""
        future: asyncio.Future[Decision | None] = asyncio.get_running_loop().create_future()
        begins = asking(lease.id, lease.tokens)
        if lease.party is None:
            self._turns.ask(lease.plan, begins, (lease, future))
        else:
            payload, holder = lease.plan.turn_charged(lease.party, begins, lease.charges), lease.party.holder
            self._pipeline.send(payload, lambda reply: self._answered((lease, future), holder, read(reply)))
        return await future

    def _answered(self, who: _Asking, generation: str | None, decision: Decision | None) -> None:
        """Enter what was taken before anyone else runs, even if nobody waits for it any more."""
        lease, future = who
        if decision is None:
            if lease.party is not None:
                lease.party.doubt(lease.charges)
            self._given_up(generation)
        elif decision.said[0] == 1:
            self._enter(lease, decision.now, generation)
            if future.done():  # the client left while Redis was asked
                lease.refund()
        if not future.done():
            future.set_result(decision)

    def _read(self, decision: Decision, lease: Lease) -> Lease:
        said, now, absent = decision
        if said[0] == -2:
            raise LimitsUnavailable(said[2])
        if said[0] == 1:
            lease.headers = self._headers(lease.plan, said[1:], now, absent)
            return lease
        bound = lease.plan.bounds[said[1] - 1]
        raise self._exceeded(bound, said[2], self._headers(lease.plan, said[3:], now, absent, (bound, said[2])))

    def _headers(
        self, prepared: Plan, used: list[int], now: int, absent: int, refused: tuple[Bound, int] | None = None
    ) -> list[Header]:
        reset = arithmetic.until_forgotten(now)
        gauges: list[Gauge | None] = []
        for dimension, windows in prepared.windows:
            tightest = None
            for at, whole in windows:
                count = used[at]
                left = (arithmetic.held_back(whole, self._gateways, absent) if absent else whole) - count
                if tightest is None or left < tightest.remaining:
                    tightest = Gauge(whole, left, reset if count > 0 else 0)
            if refused is not None and tightest is not None and refused[0].dimension is dimension and refused[1] >= 0:
                # The binding limit is shown, whatever else has less left.
                tightest = Gauge(refused[0].limit, tightest.remaining, refused[1])
            gauges.append(tightest)
        return arithmetic.headers(*gauges)

    @staticmethod
    def _exceeded(bound: Bound, wait: int, headers: list[Header]) -> LimitExceeded:
        return LimitExceeded(
            bound.dimension, bound.name, bound.limit,
            wait_ms=wait if wait >= 0 else arithmetic.WINDOW_MS, impossible=wait < 0, headers=headers,
        )  # fmt: skip

    # -- budgets

    async def _admit_charged(self, lease: Lease, needs: tuple[int, ...]) -> Lease:
        """Admit from leased slices. One that has too little is waited for, as long as the ledger may have more."""
        allowances, loop = lease.plan.allowances, asyncio.get_running_loop()
        end = loop.time() + (LEASE_PATIENCE if self._budgets.ledger_answered else FIRST_LEASE_PATIENCE)
        while True:
            party = self._budgets.party(await self._present_generation())
            slices = party.open(allowances, self._session.now_ms())
            left = (0,) * len(needs)
            if slices is not None:
                lease.party, lease.charges = party, tuple(map(Charge, slices, needs))
                try:
                    return self._decide_alone(lease) if party.alone else await self._admit_from(party, lease)
                except _Shortage as shortage:
                    self._check_exhausted(lease, shortage)
                    left = shortage.left
            if loop.time() >= end:
                raise LimitsUnavailable(DEAD_WAIT_MS)
            wants = zip(allowances, needs, left, strict=False)
            if short := [(budget, need - min(rest, 0)) for budget, need, rest in wants if rest < need or not slices]:
                await self._budgets.replenish(party, short, end - loop.time())

    async def _present_generation(self) -> str | None:
        if self._session.generation is None and self._session.joining:
            return await self._patience()
        return self._session.generation

    async def _admit_from(self, party: Party, lease: Lease) -> Lease:
        """Redis's decision. Raises `_Shortage` when it was a slice that has not enough."""
        decision = await self._ask(lease)
        if decision is None:  # Redis was lost meanwhile: what this process leases for itself decides
            raise _Shortage(())
        said, limits = decision.said, len(lease.plan.bounds)
        if said[0] == -5:
            party.forget_periods()
            raise _Shortage(())
        if said[0] == -4:
            headers = self._headers(lease.plan, said[1:], decision.now, decision.absent)
            raise _Shortage(tuple(said[1 + limits :]), headers)
        self._read(decision, lease)
        now = monotonic_ms() / 1000
        for charge, left in zip(lease.charges, said[1 + limits :], strict=True):
            self._budgets.replenish_early(party, charge, left, now)
        return lease

    def _check_exhausted(self, lease: Lease, shortage: _Shortage) -> None:
        """Raise `BudgetExhausted` when the ledger has just said that it has no more either."""
        now = monotonic_ms() / 1000
        for charge, left in zip(lease.charges, shortage.left, strict=False):
            slice_ = charge.slice
            if left < charge.amount and slice_.dry(now):
                allowance, period = slice_.allowance, slice_.period
                raise BudgetExhausted(
                    allowance.budget, allowance.whose, need=charge.amount, left=left, renews=period.renews,
                    wait_ms=period.until_ms - self._session.now_ms(), headers=shortage.headers,
                ) from None  # fmt: skip

    # -- deciding alone

    def _decide_alone(self, lease: Lease) -> Lease:
        """Admit within this process's share, as far as nothing can be in the way that it does not know of."""
        session, prepared = self._session, lease.plan
        if session.joining or session.generation is not None:  # what is taken now would be told to nobody
            raise LimitsUnavailable(DEAD_WAIT_MS)
        waits = [
            session.share_in_ms(slots=slots)
            for slots in {b.dimension is Dimension.CONCURRENCY for b in prepared.bounds}
        ]
        if max(waits, default=0) > 0:
            raise LimitsUnavailable(min(max(waits), DEAD_WAIT_MS))
        now = session.now_ms()
        used, binding, room_in = self._look(lease, now)
        if binding is not None:
            absent = self._gateways - 1
            raise self._exceeded(binding, room_in, self._headers(prepared, used, now, absent, (binding, room_in)))
        left = tuple([charge.slice.left(charge.slice.allowance.budget.amount) for charge in lease.charges])
        if any(rest < charge.amount for rest, charge in zip(left, lease.charges, strict=True)):
            raise _Shortage(left, self._headers(prepared, used, now, self._gateways - 1))
        self._enter(lease, now, None)
        lease.headers = self._headers(prepared, used, now, self._gateways - 1)
        return lease

    def _look(self, lease: Lease, now: int) -> tuple[list[int], Bound | None, int]:
        """What each limit would have used after this request, and the first without room in this process's share."""
        used: list[int] = []
        binding, wait = None, 0
        for bound in lease.plan.bounds:
            most = arithmetic.share(bound.limit, self._gateways, self._place, bound.name)
            count, cost, room_in = self._usage(bound, lease.tokens, now)
            used.append(count)
            if count + cost > most and binding is None:
                binding, wait = bound, -1 if cost > bound.limit else room_in
        if binding is None:
            used = [u + self._usage(b, lease.tokens, now)[1] for u, b in zip(used, lease.plan.bounds, strict=True)]
        return used, binding, wait

    def _usage(self, bound: Bound, tokens: int, now: int) -> tuple[int, int, int]:
        """What is used of a limit, what this request would add, and ms until it is worth trying again."""
        if bound.dimension is Dimension.CONCURRENCY:
            return self._ledger.running.get(bound.name, 0), 1, DEAD_WAIT_MS
        window = self._ledger.window(bound.name)
        window.expire(now // BUCKET_MS)
        oldest = next(iter(window.buckets), now // BUCKET_MS)
        room_in = oldest * BUCKET_MS + arithmetic.WINDOW_MS - now
        if bound.dimension is Dimension.TOKENS:
            return window.tokens, tokens, room_in
        return window.requests, 1, room_in

    # -- memory

    def _enter(self, lease: Lease, at: int, generation: str | None) -> None:
        lease.at, lease.generation = at, generation
        tick = at // BUCKET_MS
        if lease.party is not None:
            lease.party.reserve(lease.charges)
        for name, requests, metered in lease.plan.rates:
            self._ledger.window(name).add(tick, requests, lease.tokens if metered else 0, unsaid=generation is None)
        if lease.plan.slots:
            lease.begun = lease.renewed = monotonic_ms() / 1000
            self._live[lease.id] = lease
            for name in lease.plan.slots:
                self._ledger.hold(name)

    def _correct(self, lease: Lease, change: int, *, unsaid: bool) -> None:
        if change:
            now = self._session.now_ms() // BUCKET_MS
            for name in lease.plan.metered:
                window = self._ledger.window(name)
                if change < 0:
                    window.correct(lease.at // BUCKET_MS, change, unsaid=unsaid)
                else:
                    window.add(now, 0, change, unsaid=unsaid)

    def _held(self) -> list[tuple[str, str]]:
        return [(name, lease.id) for lease in self._live.values() for name in lease.plan.slots]

    # -- the session

    def _send_settlement(self, lease_id: str) -> None:
        """Deliver one settlement to the present generation; without one it waits for the next join."""
        generation = self._session.generation
        if generation is None:
            return
        lease, change = self._unsettled[lease_id][:2]
        self._turns.settle(lease.plan, ended(lease.id, lease.at // BUCKET_MS, change), lease.id)

    def _given_up(self, generation: str | None) -> None:
        """Nobody answered for this generation, or it is another one by now."""
        if generation is not None and generation == self._session.generation:
            self._disconnect()

    async def _connected(self) -> None:
        await self._session.join()
        generation = self._session.generation
        if generation is not None:
            self._budgets.joined(generation)
        for lease_id, settlement in list(self._unsettled.items()):
            if settlement.home in {None, generation}:
                self._send_settlement(lease_id)
            else:  # the new generation was told what had become of it
                del self._unsettled[lease_id]
        self._joined.set()

    def _lost(self) -> None:
        self._session.lost()
        self._turns.forget()
        self._budgets.lost()
        self._joined.clear()

    def _disconnect(self) -> None:
        self._lost()
        self._pipeline.drop()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            self._session.beat(self._due(monotonic_ms() / 1000), self._disconnect)
            self._budgets.beat()
            self._ledger.sweep(self._session.now_ms() // BUCKET_MS)
            self._forget_settlements(monotonic_ms() - SETTLEMENT_KEPT_MS)

    def _forget_settlements(self, before: int) -> None:
        """Drop what Redis could not be told while it mattered: its windows have moved on and its leases have lapsed."""
        for lease_id, settlement in list(self._unsettled.items()):
            if settlement.at > before:
                return  # they lie in the order of time
            del self._unsettled[lease_id]

    def _due(self, now: float) -> list[tuple[str, str]]:
        """Slots to renew, a third of the lease after the last time; a lease that nobody settled is let go at last."""
        due = []
        for lease in list(self._live.values()):
            if now - lease.begun > self._session.longest_ms / 1000:
                self._live.pop(lease.id)
                for name in lease.plan.slots:
                    self._ledger.release(name)
            elif now - lease.renewed >= self._lease_seconds / 3:
                lease.renewed = now
                due += [(name, lease.id) for name in lease.plan.slots]
        return due
