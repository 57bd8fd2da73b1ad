"""What Redis is asked about each combination of limits, in turns: one is on its way, the next takes all that waits.

So the requests of one busy key share a command, and with it the look at its windows. A settlement that nobody waits for
leaves with the next request that asks, or alone after `COMPANY_SECONDS`; whoever asks finds what ended before settled.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

from inference.redis_pipeline import RedisPipeline, RedisUnavailable

from .plan import MOST_IN_A_TURN, Plan

COMPANY_SECONDS = 0.002
T = TypeVar("T")


class Decision(NamedTuple):
    """What the script says of one request, at which moment of Redis's clock, and how many gateways were absent."""

    said: list[int]
    now: int
    absent: int


class _Turn:
    """What waits for the next turn of one combination: encoded, and whom it concerns."""

    __slots__ = ("asking", "ended", "flying", "plan", "planned", "timed")

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.ended: list[tuple[bytes, str]] = []
        self.asking: list[tuple[bytes, Any]] = []
        self.flying = False
        self.planned = False
        """it leaves with what the pipeline writes next"""
        self.timed = False


class Turns(Generic[T]):
    """Asks for whoever `T` is.

    `on_decision` is given each of them exactly once, with the generation that was asked, and the decision or None;
    `on_settled` a lease that is settled; `on_lost` a generation whose word could not be had.
    """

    def __init__(
        self,
        pipeline: RedisPipeline,
        generation: Callable[[], str | None],
        *,
        on_decision: Callable[[T, str | None, Decision | None], None],
        on_settled: Callable[[str, None], object],
        on_lost: Callable[[str], None],
    ) -> None:
        self._pipeline, self._generation = pipeline, generation
        self._on_decision, self._on_settled, self._on_lost = on_decision, on_settled, on_lost
        self._turns: dict[Plan, _Turn] = {}

    def ask(self, plan: Plan, encoded: bytes, who: T) -> None:
        """Have a request decided."""
        turn = self._turns.get(plan) or self._begin(plan)
        turn.asking.append((encoded, who))
        if not (turn.flying or turn.planned):
            self._plan(turn)

    def settle(self, plan: Plan, encoded: bytes, lease: str) -> None:
        """Have a request settled, soon."""
        turn = self._turns.get(plan) or self._begin(plan)
        turn.ended.append((encoded, lease))
        if not (turn.flying or turn.planned or turn.timed):
            turn.timed = True
            asyncio.get_running_loop().call_later(COMPANY_SECONDS, self._end_wait, turn)

    def flush(self) -> None:
        """Send all that waits, now."""
        for turn in list(self._turns.values()):
            while turn.ended or turn.asking:
                turn.flying = False
                self._leave(turn)

    def forget(self) -> None:
        """No settlement waits any more: they are told anew to whoever comes next."""
        for turn in self._turns.values():
            turn.ended.clear()

    def _begin(self, plan: Plan) -> _Turn:
        turn = self._turns[plan] = _Turn(plan)
        return turn

    def _plan(self, turn: _Turn) -> None:
        turn.planned = True
        self._pipeline.before_write(partial(self._leave, turn))

    def _end_wait(self, turn: _Turn) -> None:
        turn.timed = False
        self._go_on(turn)

    def _go_on(self, turn: _Turn) -> None:
        if turn.flying or turn.planned:
            return
        if turn.asking or (turn.ended and not turn.timed):
            self._plan(turn)
        elif not (turn.ended or turn.timed):
            self._turns.pop(turn.plan, None)  # memory follows traffic

    def _leave(self, turn: _Turn) -> None:
        turn.planned = False
        if turn.flying or not (turn.ended or turn.asking):
            return
        over, turn.ended = turn.ended[:MOST_IN_A_TURN], turn.ended[MOST_IN_A_TURN:]
        begins, turn.asking = turn.asking[:MOST_IN_A_TURN], turn.asking[MOST_IN_A_TURN:]
        turn.flying = True
        generation = self._generation()
        landed = partial(self._landed, turn, generation, over, begins)
        if generation is None:
            landed(RedisUnavailable("Redis decides no more"))
        else:
            payload = turn.plan.turn(generation, [it[0] for it in over], [it[0] for it in begins])
            self._pipeline.send(payload, landed)

    def _landed(
        self, turn: _Turn, generation: str | None, over: list[tuple[bytes, str]], begins: list[tuple[bytes, T]],
        reply: Any,
    ) -> None:  # fmt: skip
        turn.flying = False
        verdict = reply[0] if isinstance(reply, list) else -1
        if verdict == -1:
            if generation is not None:
                self._on_lost(generation)
        else:
            for _, lease in over:
                self._on_settled(lease, None)
        decide, at = self._on_decision, 3
        for _, who in begins:
            decide(who, generation, read(reply, at))
            at += 1
        self._go_on(turn)


def read(reply: Any, at: int = 3) -> Decision | None:
    """The decision at that place of a reply; None when there is none to be had."""
    if not isinstance(reply, list) or reply[0] == -1:
        return None
    if reply[0] == -2:  # not open yet
        return Decision(reply, reply[1], 0)
    return Decision(reply[at], reply[1], reply[2])
