"""What Redis is asked about each combination of limits, in turns: one is on its way, the next takes all that waits.

So the requests of one busy key share a command, and with it the look at its windows. A settlement that nobody waits for
leaves with the next request that asks, or alone after `COMPANY_SECONDS`; whoever asks finds what ended before settled.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from inference.redis_pipeline import RedisPipeline, RedisUnavailable

from .plan import Asking, Ended, Plan

COMPANY_SECONDS = 0.002
MOST = 64
"""requests of either kind in one turn: Redis does nothing else meanwhile"""

OnDecision = Callable[[str | None, Any], None]
"""Is given the generation that was asked, and the decision or what came in its place."""


class _Waiting(NamedTuple):
    asking: Asking
    on_decision: OnDecision


class _Turn:
    """What waits for the next turn of one combination."""

    __slots__ = ("asking", "ended", "flying", "plan", "planned", "timed")

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.ended: deque[Ended] = deque()
        self.asking: deque[_Waiting] = deque()
        self.flying = False
        self.planned = False
        """it leaves with what the pipeline writes next"""
        self.timed = False


class Turns:
    """`on_settled` is told a lease that is settled, `on_lost` a generation whose word could not be had."""

    def __init__(
        self,
        pipeline: RedisPipeline,
        generation: Callable[[], str | None],
        on_settled: Callable[[str], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._pipeline, self._generation = pipeline, generation
        self._on_settled, self._on_lost = on_settled, on_lost
        self._turns: dict[Plan, _Turn] = {}

    def ask(self, plan: Plan, asking: Asking, on_decision: OnDecision) -> None:
        """Have a request decided. `on_decision` is called exactly once."""
        turn = self._of(plan)
        turn.asking.append(_Waiting(asking, on_decision))
        self._plan(turn)

    def settle(self, plan: Plan, ended: Ended) -> None:
        """Have a request settled, soon."""
        turn = self._of(plan)
        turn.ended.append(ended)
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

    def _of(self, plan: Plan) -> _Turn:
        turn = self._turns.get(plan)
        if turn is None:
            turn = self._turns[plan] = _Turn(plan)
        return turn

    def _plan(self, turn: _Turn) -> None:
        if not (turn.flying or turn.planned):
            turn.planned = True
            self._pipeline.before_write(partial(self._leave, turn))

    def _end_wait(self, turn: _Turn) -> None:
        turn.timed = False
        if turn.ended:
            self._plan(turn)
        else:
            self._drop(turn)

    def _leave(self, turn: _Turn) -> None:
        turn.planned = False
        if turn.flying or not (turn.ended or turn.asking):
            return
        ended, asking = _take(turn.ended), _take(turn.asking)
        turn.flying = True
        generation = self._generation()
        landed = partial(self._landed, turn, generation, ended, asking)
        if generation is None:
            landed(RedisUnavailable("Redis decides no more"))
        else:
            self._pipeline.send(turn.plan.turn(generation, ended, [it.asking for it in asking]), landed)

    def _landed(
        self, turn: _Turn, generation: str | None, ended: list[Ended], asking: list[_Waiting], reply: Any
    ) -> None:
        turn.flying = False
        verdict = reply[0] if isinstance(reply, list) else -1
        if verdict == -1:
            if generation is not None:
                self._on_lost(generation)
        else:
            for request in ended:
                self._on_settled(request.lease)
        if verdict == 1:
            now, absent = reply[1], reply[2]
            for waiting, decision in zip(asking, reply[3:], strict=True):
                waiting.on_decision(generation, [decision[0], now, absent, *decision[1:]])
        else:
            for waiting in asking:
                waiting.on_decision(generation, reply)
        if turn.asking or turn.ended:
            self._plan(turn)
        else:
            self._drop(turn)

    def _drop(self, turn: _Turn) -> None:
        """Memory follows traffic."""
        if not (turn.flying or turn.planned or turn.timed or turn.asking or turn.ended):
            self._turns.pop(turn.plan, None)


def _take(waiting: "deque[Any]") -> list[Any]:
    if len(waiting) <= MOST:
        taken = list(waiting)
        waiting.clear()
    else:
        taken = list(islice(waiting, MOST))
        for _ in taken:
            waiting.popleft()
    return taken
