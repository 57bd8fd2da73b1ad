"""S1, the gateway's half: whatever comes over the wire ends in a clear answer in time, and tells nobody anything.

`inference/test_hostile_corpus.py` has the corpus, each input by its name; here are all that can be made of it.
"""

import asyncio
import json
import os
import time
from collections import Counter

import httptools
import pytest

from tests.inference.conftest import Gateway, Start, route
from tests.inference.engine import Engine
from tests.proofs.hostile import KEY, Hostile, legitimate, make
from tests.proofs.proof import Proof

AT_ONCE = 64
TIME_OUTS = 2.0
"""seconds that this gateway gives a head and a body together"""
HANGS = 10.0
QUIET = 0.2
"""seconds of silence after an answer"""
SECRETS = ("Traceback", 'File "', "engine-secret", "postgresql://", "SECRET_KEY")
FORWARDED = {
    "host", "authorization", "accept", "traceparent", "tracestate", "x-request-id", "content-type", "content-length"
}  # fmt: skip


class Answers:
    """All answers that came over one connection."""

    def __init__(self, hostile: Hostile) -> None:
        self._bodiless = b"HEAD" in hostile.whole
        self.received = b""
        self.answers: list[tuple[int, bytes]] = []
        self._body = b""
        self._broken = self._open = False
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, piece: bytes) -> None:
        self.received += piece
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserError:
            self._broken = True

    @property
    def complete(self) -> bool:
        """Something came, and nothing of it is missing."""
        return self._broken or (bool(self.answers) and not self._open) or (self._bodiless and bool(self.received))

    @property
    def clear(self) -> bool:
        """Every refusal says what is wrong."""
        if self._bodiless:
            return True
        try:
            return not self._broken and all(
                json.loads(body)["error"]["message"] for code, body in self.answers if code >= 400
            )
        except (ValueError, KeyError, TypeError):
            return False

    # what the parser calls

    def on_message_begin(self) -> None:
        self._body, self._open = b"", True

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self._open = False
        if self._parser.get_status_code() >= 200:
            self.answers.append((self._parser.get_status_code(), self._body))


class Fuzzer:
    """Sends inputs, many at once, and judges what comes back."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._secrets = (*SECRETS, gateway.key.token, os.environ["SECRET_KEY"])
        self.found: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.longest = 0.0

    async def try_all(self, seeds: asyncio.Queue[int]) -> None:
        while not seeds.empty():
            await self._try(seeds.get_nowait())

    async def _try(self, seed: int) -> None:
        hostile, key = make(seed), self._gateway.key.token
        data = hostile._replace(pieces=tuple(piece.replace(KEY, key.encode()) for piece in hostile.pieces))
        began = time.monotonic()
        try:
            async with asyncio.timeout(HANGS):
                got = await self._exchange(data)
        except TimeoutError:
            self._note("hang", seed, None)
            return
        self.longest = max(self.longest, time.monotonic() - began)
        self.found["inputs"] += 1
        self._judge(seed, data, got)

    async def _exchange(self, hostile: Hostile) -> Answers:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._gateway.port)
        try:
            for piece in hostile.pieces:
                writer.write(piece)
                await asyncio.sleep(0 if len(hostile.pieces) == 1 else 0.01)
            if hostile.ends:
                writer.write_eof()
            return await self._read(reader, Answers(hostile))
        except OSError:
            return Answers(hostile)
        finally:
            writer.close()

    @staticmethod
    async def _read(reader: asyncio.StreamReader, got: Answers) -> Answers:
        """What comes until the gateway closes, or has answered and is silent for a moment."""
        while True:
            try:
                async with asyncio.timeout(QUIET if got.complete else HANGS):
                    piece = await reader.read(1 << 16)
            except TimeoutError:
                if not got.complete:
                    raise
                return got
            except OSError:
                return got
            if not piece:
                return got
            got.feed(piece)

    def _judge(self, seed: int, hostile: Hostile, got: Answers) -> None:
        statuses = [status for status, _ in got.answers]
        self.found.update(f"{status // 100}xx" for status in statuses)
        if any(status >= 500 for status in statuses):
            self._note("answered 5xx", seed, got)
        if any(secret.encode() in got.received for secret in self._secrets):
            self._note("told a secret", seed, got)
        if sum(status < 400 for status in statuses) > legitimate(hostile.whole, self._gateway.key.token):
            self._note("served", seed, got)
        if not got.clear:
            self._note("unclear", seed, got)

    def _note(self, what: str, seed: int, got: Answers | None) -> None:
        self.found[what] += 1
        text = got.received[:500] if got else b""
        self.examples.setdefault(what, f"{what}: make({seed}) of tests/proofs/hostile.py: {text!r}")


@pytest.mark.proof("S1", seconds=240)
async def test_hostile_inputs(proof: Proof, start: Start, engine: Engine) -> None:
    gateway = await start(
        route("smol", engine.url), fresh=True,
        SIGNALBOX_GATEWAY_HEADER_SECONDS="1", SIGNALBOX_GATEWAY_BODY_SECONDS="1",
    )  # fmt: skip
    fuzzer, seeds = Fuzzer(gateway), asyncio.Queue[int]()
    for block in proof.rounds(2, 40):
        for seed in range(block * 250, block * 250 + 250):
            seeds.put_nowait(seed)
        await asyncio.gather(*(fuzzer.try_all(seeds) for _ in range(AT_ONCE)))
    assert (await gateway.chat()).status_code == 200
    odd = [asked for asked in engine.asked if asked.headers.keys() - FORWARDED or asked.json["model"] != "served"]
    found, counted = fuzzer.found, f"{fuzzer.found['inputs']:,} inputs"
    mix = f"{found['4xx']:,} × 4xx, {found['2xx']:,} × 2xx to proper requests among them"
    served = found["served"] + len(odd)
    for what, count, told in (
        ("answers of 5xx", found["answered 5xx"], f"{found['answered 5xx']} ({mix})"),
        ("answers with a secret or a stack trace", found["told a secret"], None),
        ("hangs", found["hang"], f"{found['hang']} (longest {fuzzer.longest:.1f} s, time-outs of 1 s each)"),
        ("served though no proper request, or forwarded with a byte too many", served, None),
        ("refusals that do not say why", found["unclear"], None),
    ):
        proof.show(what, counted=counted, bar="0", measured=told or count, held=not count)
    unhandled = gateway.log.read_text().count("Traceback")
    proof.show(
        "unhandled errors in the gateway's log",
        counted=counted, bar="0", measured=unhandled, held=not unhandled, timed=True,
    )  # fmt: skip
    assert not fuzzer.examples, "\n".join(fuzzer.examples.values())
