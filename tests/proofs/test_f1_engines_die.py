"""F1: an engine dies. Who has seen nothing of an answer yet notices nothing; who has seen some is told."""

import asyncio
from collections import Counter

import pytest

from tests.inference.conftest import Start, route
from tests.proofs.client import Answer, Client, NoAnswer
from tests.proofs.engines import EngineProcess, engines
from tests.proofs.proof import Proof

CLIENTS = 32
CHUNKS = 6
STREAM = {"stream": True, "prefill": 0.01, "chunks": CHUNKS, "pause": 0.01}


def verdict(answer: Answer) -> str:
    """What the client has to think of it."""
    if answer.status != 200:
        return f"refused: {answer.status}"
    complete = sum(b'"content": "' in event for event in answer.events) == CHUNKS and answer.events[-1] == b"[DONE]"
    if answer.whole and complete and not answer.error:
        return "whole"
    if answer.whole and answer.error and not answer.done and answer.first:
        return "told"
    return "truncated"


async def ask_on(client: Client, seen: Counter[str], proof: Proof, wanted: int) -> None:
    while seen["asked"] < wanted and not proof.is_over(f"{seen['asked']:,} of {wanted:,} streams"):
        seen["asked"] += 1
        try:
            seen[verdict(await client.ask(STREAM))] += 1
        except NoAnswer:
            seen["refused: no answer"] += 1
        except TimeoutError:
            seen["hung"] += 1


async def kill_in_turn(
    victims: list[EngineProcess], seen: Counter[str], proof: Proof, kills: int, streams: int
) -> None:
    """Evenly over the streams; the next one dies only once the last one lives again."""
    for number in range(kills):
        while seen["asked"] < (number + 0.5) * streams / kills:
            if proof.seconds_left < 0:
                return
            await asyncio.sleep(0.005)
        victims[number % 2].kill()
        seen["killed"] += 1
        await asyncio.to_thread(victims[number % 2].start)


@pytest.mark.proof("F1", seconds=300)
async def test_killed_engines_cut_nothing_silently(proof: Proof, start: Start) -> None:
    kills, streams = proof.full(4, 100), proof.full(500, 20_000)
    seen: Counter[str] = Counter()
    with engines(2) as (one, other):
        gateway = await start(route("smol", one.url, other.url), fresh=True)
        clients = [Client(gateway.port, gateway.key.token) for _ in range(CLIENTS)]
        killing = asyncio.create_task(kill_in_turn([one, other], seen, proof, kills, streams))
        await asyncio.gather(*(ask_on(client, seen, proof, streams) for client in clients))
        await killing
    for client in clients:
        client.leave()
    counted = f"{seen['asked']:,} streams, {seen['killed']} kills, {seen['told']:,} streams lost on their way and told"
    refused = sum(count for name, count in seen.items() if name.startswith("refused"))
    proof.show("errors before the first byte", counted=counted, bar="0", measured=refused, held=refused == 0)
    silent = seen["truncated"] + seen["hung"]
    proof.show("silent truncations", counted=counted, bar="0", measured=silent, held=silent == 0)
    assert seen["told"], f"no kill has met a stream: {seen}"
    assert seen["whole"] + seen["told"] + refused + silent == seen["asked"]
