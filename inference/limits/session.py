"""This gateway's standing with Redis: whether Redis may decide, and from when on its own share may be used instead.

`inference.limits` explains why the times are what they are.
"""

import secrets
import time
from collections.abc import Callable, Iterable

from inference.contract import limits as contract
from inference.redis_pipeline import RedisPipeline, RedisUnavailable, encode

from . import scripts
from .arithmetic import BUCKET_MS, WINDOW_MS
from .ledger import Ledger

TRUST_MS = 2000
"""For so long after its last sign a gateway counts as present; until then it does not use its share."""
BEAT_SECONDS = 0.5
MARGIN_MS = 250
"""For the error of this process's idea of Redis's clock."""
KEPT_PLACE_MS = 600_000
RENEWED_AT_ONCE = 400
SAME_CLOCK_MS = 500

Held = Iterable[tuple[str, str]]
"""Subject and lease of every slot that is held."""


def monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class Session:
    """Joins, beats and leaves. `generation` is None while Redis may not decide."""

    def __init__(
        self, pipeline: RedisPipeline, ledger: Ledger, held: Callable[[], Held], *, gateways: int, member: str,
        lease_ms: int, longest_ms: int,
    ) -> None:  # fmt: skip
        self._pipeline, self._ledger, self._held = pipeline, ledger, held
        self._gateways, self._member, self._lease_ms, self.longest_ms = gateways, member, lease_ms, longest_ms
        self.generation: str | None = None
        self.joining = False
        self._known = ""
        self._born = self._trusted_at = monotonic_ms()
        self._offset: int | None = None
        self._founder = False

    def now_ms(self) -> int:
        """Redis's clock as this process knows it: late by up to a round trip, never early."""
        return monotonic_ms() + (self._offset if self._offset is not None else 0)

    @property
    def whole(self) -> bool:
        """Whether this process remembers all that was admitted in its place in the last window."""
        return self._founder or monotonic_ms() - self._born >= WINDOW_MS

    def share_in_ms(self, *, slots: bool) -> int:
        """Milliseconds until this process may give out its share of rates (or of slots) alone.

        A single gateway that remembers everything may at once. Among several, whatever the others were admitted while
        Redis still counted this one as present must have left the window, and requests then begun must have ended.
        """
        if self._gateways == 1 and self.whole:
            return 0
        since = self._born if self._gateways == 1 else self._trusted_at
        return since + TRUST_MS + MARGIN_MS + (self.longest_ms if slots else WINDOW_MS) - monotonic_ms()

    def lost(self) -> None:
        """Redis may not decide any more."""
        self.generation = None

    async def join(self) -> None:
        """Tell Redis what this process knows and learn the generation. Raises what `RedisPipeline.call` raises."""
        self.joining = True
        try:
            await self._read_clock()
            await self._join()
        finally:
            self.joining = False

    async def _read_clock(self) -> None:
        sent = monotonic_ms()
        seconds, microseconds = await self._pipeline.call("TIME")
        offset = int(seconds) * 1000 + int(microseconds) // 1000 - sent
        moved = 0 if self._offset is None else offset - self._offset
        if abs(moved) > SAME_CLOCK_MS:  # another machine took over, or the clock was set: later is the safe side
            self._ledger.shift(moved // BUCKET_MS + 1)
        self._offset = offset

    async def _join(self) -> None:
        told: list[str | int] = []
        self._ledger.sweep(self.now_ms() // BUCKET_MS)
        for name, tick, b in self._ledger.entries():
            told += (name, tick, b.requests, b.tokens, b.unsaid_requests, b.unsaid_tokens)
        held = [part for pair in self._held() for part in pair]
        self._trusted_at = monotonic_ms()
        reply = await self._pipeline.call(
            "EVAL", scripts.JOIN.text, 1, contract.STATE, self._member, self._gateways, self.now_ms(), TRUST_MS,
            self._known, int(self.whole), secrets.token_hex(4), self.longest_ms, self._lease_ms, contract.PREFIX,
            len(told) // 6, *told, len(held) // 2, *held,
        )  # fmt: skip
        if reply[0] != 1:
            raise RedisUnavailable("Redis took too long to let this gateway join")
        for script in scripts.LOADED:  # after the join: a server that knows them has been asked who it is
            await self._pipeline.call("SCRIPT", "LOAD", script.text)
        self._ledger.told()
        generation = reply[2].decode()
        self._founder = self._founder or bool(reply[3])
        self.generation = self._known = generation

    def beat(self, renewals: list[tuple[str, str]], on_lost: Callable[[], None]) -> None:
        """Say that this process is there and that these slots are held still."""
        generation = self.generation
        if generation is None:
            return

        sent = self._trusted_at = monotonic_ms()

        def answered(reply: object) -> None:
            if isinstance(reply, list) and reply[0] == 1:
                self._offset = reply[1] - sent
            elif generation == self.generation:
                on_lost()

        for start in range(0, len(renewals) or 1, RENEWED_AT_ONCE):
            some = renewals[start : start + RENEWED_AT_ONCE]
            keys = [contract.slots_key(generation, name) for name, _ in some]
            self._pipeline.send(
                encode(
                    "EVALSHA", scripts.BEAT.sha, 2 + len(keys), contract.STATE, contract.members_key(generation), *keys,
                    generation, self._member, self.now_ms(), TRUST_MS, self._lease_ms, *(lease for _, lease in some),
                ),
                answered,
            )  # fmt: skip

    async def leave(self) -> None:
        """Give the place up in order."""
        if (generation := self.generation) is not None:
            members = contract.members_key(generation)
            await self._pipeline.call(
                "EVALSHA", scripts.LEAVE.sha, 2, contract.STATE, members, generation, self._member, KEPT_PLACE_MS
            )
