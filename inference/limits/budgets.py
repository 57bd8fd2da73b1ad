"""Between requests, Redis and the ledger: leases slices, says what was spent, and cleans up after the dead.

`inference.limits` explains the whole.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from inference.contract import limits as contract
from inference.contract.budgets import Spent, Wanted
from inference.redis_pipeline import RedisError, RedisPipeline, RedisUnavailable, bulk, encode

from . import scripts
from .answers import LimitsUnavailable
from .ledger_client import LedgerClient, LedgerUnavailable
from .slices import SLICE_REQUESTS, Allowance, Charge, Party, Slice

logger = logging.getLogger(__name__)

REPORT_SECONDS = 1.0
LEAVE_SECONDS = 3.0
MOST_A_CALL = 200
"""slices in one question to the ledger or to Redis, so that nobody waits long behind it"""
UNAVAILABLE_MS = 1000

Wants = dict[tuple[str, str], tuple[Allowance, int, int]]
"""limit and dimension -> the budget, what waiting requests need of it, what the largest of them needs"""


class Budgets:
    """The budgets' side of one limiter. `now_ms` tells Redis's clock as this process knows it.

    `process` names this process for good: no other one, before or after, may have that name.
    """

    def __init__(
        self, ledger: LedgerClient, pipeline: RedisPipeline, process: str, now_ms: Callable[[], int], lease_ms: int
    ) -> None:
        self._ledger, self._pipeline, self._now_ms = ledger, pipeline, now_ms
        self._process, self._lease_ms = process, lease_ms
        self._generation: str | None = None
        self._shared: Party | None = None
        self._alone: Party | None = None
        self._times_alone = 0
        self._leaving: list[Party] = []
        self._wanted: dict[Party, Wants] = {}
        self._waiting: list[asyncio.Future[None]] = []
        self._wake = asyncio.Event()
        self._sweeping: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    # -- life

    def start(self) -> None:
        for work in (self._lease_for_ever(), self._report_for_ever()):
            self._spawn(work)

    async def close(self) -> None:
        """Say the last words, as far as they are heard in time."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._leave(self._alone, gone=True)
        with suppress(LedgerUnavailable, RedisError, RedisUnavailable, TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                for party in [*self._leaving, *filter(None, [self._shared])]:
                    if await self._finish(party) and party is self._shared:
                        await self._bury(party.holder, party.process, itself=True)
        self._ledger.close()

    @property
    def ledger_answered(self) -> bool:
        """Whether the ledger was reached since the start."""
        return self._ledger.answered

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- who holds

    def party(self, generation: str | None) -> Party:
        """This process's part in the generation of Redis's counters, or without Redis."""
        if generation is None:
            if self._alone is None:
                self._times_alone += 1
                holder = f"alone/{self._process}/{self._times_alone}"
                self._alone = Party(holder, self._process, alone=True)
            return self._alone
        if self._shared is None or self._shared.holder != generation:
            self._leave(self._shared, gone=True)
            self._shared = Party(generation, self._process, alone=False)
        return self._shared

    def joined(self, generation: str) -> None:
        """Redis decides again, under this generation. Called before anything else is asked of it."""
        self._generation = generation
        self._leave(self._alone, gone=True)
        self._alone = None
        if self._shared is not None and self._shared.holder == generation:
            self._align(self._shared)
        else:
            self._leave(self._shared, gone=True)
            self._shared = None

    def lost(self) -> None:
        """Redis does not decide any more."""
        self._generation = None

    def _leave(self, party: Party | None, *, gone: bool) -> None:
        if party is not None:
            party.gone = gone
            self._leaving.append(party)

    # -- leasing

    async def replenish(self, party: Party, needs: Sequence[tuple[Allowance, int]], seconds: float) -> None:
        """Have the ledger asked for these, together with all that others need; the answer is then in `party` and Redis.

        Raises `LimitsUnavailable` when there is none within `seconds`.
        """
        for allowance, need in needs:
            self._want(party, allowance, need, need)
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        done, _ = await asyncio.wait({answer}, timeout=max(seconds, 0))
        if not done:
            answer.cancel()
            raise LimitsUnavailable(UNAVAILABLE_MS)
        answer.result()

    def replenish_early(self, party: Party, charge: Charge, left: int, now: float) -> None:
        """A slice runs low: have it filled up before somebody has to wait."""
        slice_, amount = charge
        if left < max(slice_.low, amount) and not slice_.asked and not slice_.dry(now):
            slice_.asked = True
            self._want(party, slice_.allowance, 0, amount)

    def _want(self, party: Party, allowance: Allowance, need: int, typical: int) -> None:
        wants = self._wanted.setdefault(party, {})
        _, needed, largest = wants.get(allowance.key, (allowance, 0, 0))
        wants[allowance.key] = (allowance, needed + need, max(largest, typical))
        self._wake.set()

    async def _lease_for_ever(self) -> None:
        """One question at a time; the next one takes all that came meanwhile."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            wanted, self._wanted = self._wanted, {}
            waiting, self._waiting = self._waiting, []
            error: LimitsUnavailable | None = None
            for party, wants in wanted.items():
                try:
                    await self._lease(party, list(wants.values()))
                except LedgerUnavailable:
                    error = LimitsUnavailable(UNAVAILABLE_MS)
                    self._forget_asking(party)
            for answer in waiting:
                if answer.done():
                    continue
                if error is None:
                    answer.set_result(None)
                else:
                    answer.set_exception(error)

    async def _lease(self, party: Party, wants: list[tuple[Allowance, int, int]]) -> None:
        for start in range(0, len(wants), MOST_A_CALL):
            if party not in {self._shared, self._alone}:
                return  # it says its last word now: a lease would bring it back to life
            some = wants[start : start + MOST_A_CALL]
            now = time.monotonic()
            asked = [self._wish(party, *want, now=now) for want in some]
            told = await self._ledger.lease(party.holder, party.process, asked)
            heard = [
                party.hear(some[word.item][0], word, now_ms=self._now_ms(), now=time.monotonic())
                for word in told
                if word.amount is not None
            ]
            self._fill(party, heard)

    def _wish(self, party: Party, allowance: Allowance, need: int, largest: int, *, now: float) -> Wanted:
        """Alone nothing is leased ahead: what lies idle here is out of the others' reach."""
        wish = 0
        if not party.alone:
            slices = party.open((allowance,), self._now_ms())
            wish = slices[0].wish(largest, now) if slices else SLICE_REQUESTS * largest
        return Wanted(*allowance.key, allowance.budget.zone, need, wish)

    def _forget_asking(self, party: Party) -> None:
        for slice_ in party.slices.values():
            slice_.asked = False

    def _fill(self, party: Party, slices: list[Slice]) -> None:
        """Tell Redis what was granted. Should it not hear of it, the next lease tells again."""
        if party.holder != self._generation:
            return
        if not party.entered:
            party.entered = True
            self._align(party)
        said: list[str | int] = []
        for slice_ in slices:
            said += (slice_.granted, slice_.others, slice_.period.until_ms, slice_.version)
        keys = [slice_.key for slice_ in slices]
        if keys:
            self._send(scripts.FILL, [contract.STATE, *keys], [party.holder, *said])

    # -- telling Redis

    def settle(self, party: Party, charges: tuple[Charge, ...], spent: tuple[int, ...]) -> None:
        """A request has ended."""
        party.settle(charges, spent)
        if party.alone:
            return
        if party.holder != self._generation:
            party.doubt(charges)
            return
        payload = [b"*%d\r\n" % (6 + 3 * len(charges)), scripts.SPEND.command, bulk(1 + len(charges)), _STATE]
        payload += [charge.slice.encoded for charge in charges]
        payload += [bulk(party.holder), party.encoded_process]
        payload += [bulk(number) for pair in zip(charges, spent, strict=True) for number in (pair[0].amount, pair[1])]
        self._pipeline.send(b"".join(payload), partial(self._heard, party, [charge.slice for charge in charges]))

    def _heard(self, party: Party, slices: list[Slice], reply: Any) -> None:
        """Redis has answered, or not: then it may have done what it was told, or not."""
        if reply != 1:
            party.unsure.update(slices)

    def _align(self, party: Party) -> None:
        """Say the totals of all slices about which Redis may be wrong."""
        unsure, party.unsure = list(party.unsure), set()
        keys = [contract.STATE, contract.processes_key(party.holder), contract.touched_key(party.holder, party.process)]
        for start in range(0, len(unsure) or 1, MOST_A_CALL):
            some = unsure[start : start + MOST_A_CALL]
            said = [number for slice_ in some for number in (slice_.reserved, slice_.spent)]
            names = [*keys, *(slice_.key for slice_ in some)]
            words: list[str | int] = [party.holder, party.process, self._lease_ms, *said]
            self._send(scripts.ALIGN, names, words, partial(self._heard, party, some))

    def _send(
        self, script: scripts.Script, keys: Sequence[str], arguments: Sequence[str | int],
        on_reply: Callable[[Any], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self._pipeline.send(encode("EVALSHA", script.sha, len(keys), *keys, *arguments), on_reply)

    async def _call(self, script: scripts.Script, keys: Sequence[str], arguments: Sequence[str | int]) -> Any:
        return await self._pipeline.call("EVALSHA", script.sha, len(keys), *keys, *arguments)

    # -- telling the ledger

    async def _report_for_ever(self) -> None:
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            with suppress(LedgerUnavailable):
                for party in filter(None, (self._shared, self._alone)):
                    await self._report(party)
                    party.drop_past(self._now_ms())
                if self._shared is not None and self._generation is None and self._shared.live:
                    await self._say(self._shared, [])  # so that nobody gives its reservations to others
                for party in list(self._leaving):
                    if await self._finish(party):
                        self._leaving.remove(party)

    async def _report(self, party: Party) -> None:
        """Say what was spent since the last time."""
        dirty = list(party.dirty)
        if party.silent and not dirty:
            await self._say(party, [])
        party.silent = False
        for start in range(0, len(dirty), MOST_A_CALL):
            said = [(slice_, slice_.saying()) for slice_ in dirty[start : start + MOST_A_CALL]]
            await self._say(party, [word for _, word in said])
            party.reported(said)

    async def _say(self, party: Party, spent: list[Spent]) -> None:
        await self._ledger.report(party.holder, party.process, spent)

    async def _finish(self, party: Party) -> bool:
        """Say the last word, if nothing is running any more that could change it; True when it was heard."""
        await self._report(party)
        if party.live or party.dirty:
            return False
        await self._ledger.report(party.holder, party.process, [], finished=True, gone=party.gone)
        return True

    # -- the dead

    def beat(self) -> None:
        """Say that this process is there, and hear who is not."""
        party = self._shared
        if party is not None and party.entered and party.holder == self._generation:
            keys = [contract.STATE, contract.processes_key(party.holder)]
            words: list[str | int] = [party.holder, party.process, self._lease_ms]
            self._send(scripts.ALIVE, keys, words, partial(self._hear_of_the_dead, party))

    def _hear_of_the_dead(self, party: Party, reply: Any) -> None:
        if not isinstance(reply, list) or reply[0] == -1:
            return
        if reply[0] == 0:  # this process slept for so long that its reservations were given to others
            logger.warning("budgets: taken for dead after a long sleep; what is running is reserved anew")
            party.silent = True
            party.unsure.update(party.slices.values())
            self._align(party)
        for name in reply[2:]:
            process = name.decode()
            if process not in self._sweeping:
                self._sweeping.add(process)
                self._spawn(self._sweep(party.holder, process))

    async def _sweep(self, generation: str, process: str) -> None:
        """Give back what a dead process had reserved, and tell the ledger what it had spent."""
        try:
            if await self._ledger.silence(generation, process) < self._lease_ms / 1000:
                return  # cut off from Redis, but it lives, and so do its requests
            spent = await self._take_back(generation, process)
            if spent is None:
                return
            for start in range(0, len(spent), MOST_A_CALL):
                await self._ledger.report(generation, process, spent[start : start + MOST_A_CALL])
            await self._ledger.report(generation, process, [], finished=True)
            await self._bury(generation, process)
            logger.info("budgets: gave back what %s had reserved", process)
        except (LedgerUnavailable, RedisError, RedisUnavailable):
            return  # the next beat begins anew
        finally:
            self._sweeping.discard(process)

    async def _take_back(self, generation: str, process: str) -> list[Spent] | None:
        """What a dead process had spent in all from each slice; None when it lives."""
        members = await self._pipeline.call("SMEMBERS", contract.touched_key(generation, process))
        names = [member.decode() for member in members]
        found: list[Spent] = []
        for start in range(0, len(names), MOST_A_CALL):
            some = names[start : start + MOST_A_CALL]
            keys = [contract.STATE, contract.processes_key(generation), *some]
            spent = await self._call(scripts.SWEEP, keys, [generation, process])
            if not isinstance(spent, list) or not spent:
                return None
            said = zip(some, spent, strict=True)
            found += [Spent(*contract.slice_of(name), count) for name, count in said if count > 0]
        return found

    async def _bury(self, generation: str, process: str, *, itself: bool = False) -> None:
        keys = [contract.STATE, contract.processes_key(generation), contract.touched_key(generation, process)]
        await self._call(scripts.BURY, keys, [generation, process, int(itself)])


_STATE = bulk(contract.STATE)
