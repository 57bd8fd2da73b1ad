"""Rules and session affinity over real HTTP: who answers which request."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from inference.contract.tables import ReplicaEntry, RouteEntry, RuleEntry, TargetEntry
from tests.inference.conftest import Gateway, Publisher, RegisterReader, Start, free_port, route
from tests.inference.engine import Engine, answer
from tests.waiting import eventually

Engines = dict[str, Engine]
CHAT, EMBEDDING = "/v1/chat/completions", "/v1/embeddings"


@pytest.fixture
async def engines() -> AsyncIterator[Engines]:
    """``big`` and ``small``, and two that share one deployment."""
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(Engine(answer)) for name in ("big", "small", "twin-0", "twin-1")}


def target(deployment: str, weight: int, *replicas: tuple[str, str]) -> TargetEntry:
    entries = tuple(ReplicaEntry(name, url) for name, url in replicas)
    return TargetEntry(deployment, weight, "m", "m:1", "served", entries)


def two_targets(
    engines: Engines, *rules: RuleEntry, weights: tuple[int, int] = (1, 1), big: str = ""
) -> tuple[RouteEntry, ...]:
    return (
        route(
            targets=(
                target("big", weights[0], ("big-0", big or engines["big"].url)),
                target("small", weights[1], ("small-0", engines["small"].url)),
            ),
            rules=rules,
        ),
    )


async def replica_of(gateway: Gateway, path: str = CHAT, content: str = "hi", **headers: str) -> str:
    prompt = {"input": content} if path == EMBEDDING else {"messages": [{"role": "user", "content": content}]}
    body = {"model": "smol", **prompt}
    answered = await gateway.http.post(path, json=body, headers=gateway.authorization | headers)
    assert answered.status_code == 200, answered.text
    return answered.headers["x-signalbox-replica"]


async def test_endpoint_decides(start: Start, engines: Engines) -> None:
    gateway = await start(*two_targets(engines, RuleEntry(("small",), endpoints=("embedding",)), RuleEntry(("big",))))
    assert {await replica_of(gateway, EMBEDDING) for _ in range(4)} == {"small-0"}
    assert {await replica_of(gateway) for _ in range(4)} == {"big-0"}


async def test_length_of_the_prompt_decides(start: Start, engines: Engines) -> None:
    gateway = await start(*two_targets(engines, RuleEntry(("big",), prompt_tokens_from=1000), RuleEntry(("small",))))
    assert await replica_of(gateway, content="x" * 3_000) == "small-0"
    assert await replica_of(gateway, content="x" * 4_000) == "big-0"


async def test_header_decides_and_stays_here(start: Start, engines: Engines) -> None:
    rule = RuleEntry(("small",), header="x-tier", header_values=("beta",))
    gateway = await start(*two_targets(engines, rule, RuleEntry(("big",))))
    assert [await replica_of(gateway, **{"X-Tier": value}) for value in ("beta", "gold")] == ["small-0", "big-0"]
    assert "x-tier" not in engines["small"].asked[-1].headers


async def test_canary_stays_exact_between_requests_under_rules(start: Start, engines: Engines) -> None:
    rule = RuleEntry(("small", "big"), header="x-other")
    gateway = await start(*two_targets(engines, rule, weights=(9, 1)))
    plain = []
    for number in range(40):
        plain.append(await replica_of(gateway))
        if number % 3:
            await replica_of(gateway, **{"x-other": "1"})
    assert [plain[first : first + 10].count("small-0") for first in range(31)] == [1] * 31


async def test_rule_without_a_replica_is_503(
    start: Start, engines: Engines, publisher: Publisher, register: RegisterReader
) -> None:
    gateway = await start(*two_targets(engines, RuleEntry(("gone",))))
    answered = await gateway.chat()
    assert (answered.status_code, answered.headers["retry-after"].isdigit()) == (503, True)
    assert answered.json()["error"]["message"].startswith("Rule 1 of 'smol' sends this request to targets of which no")
    publisher.routes(*two_targets(engines, RuleEntry(("gone",), fallback=True)))
    await eventually(lambda: _answers(gateway))
    assert register.rows(kind="outcome", status="ok")[-1]["detail"]["routing"] == "rule_fallback"


async def _answers(gateway: Gateway) -> bool:
    return (await gateway.chat()).status_code == 200


async def test_dead_engine_of_a_rule_with_fallback_costs_no_request(start: Start, engines: Engines) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    gateway = await start(*two_targets(engines, RuleEntry(("big",), fallback=True), big=dead))
    assert {await replica_of(gateway) for _ in range(5)} == {"small-0"}


async def test_session_stays_on_its_replica(start: Start, engines: Engines) -> None:
    twins = target("twin", 1, *((name, engines[name].url) for name in ("twin-0", "twin-1")))
    gateway = await start(route(targets=(twins,), affinity_header="x-session-id"))
    homes = {f"s{number}": await replica_of(gateway, **{"x-session-id": f"s{number}"}) for number in range(12)}
    assert set(homes.values()) == {"twin-0", "twin-1"}
    for session, home in homes.items():
        assert await replica_of(gateway, **{"X-Session-Id": session}) == home
    assert {await replica_of(gateway) for _ in range(4)} == {"twin-0", "twin-1"}


async def test_only_sessions_of_a_lost_replica_move(start: Start, engines: Engines, publisher: Publisher) -> None:
    def published(*names: str) -> tuple[RouteEntry, ...]:
        replicas = [(name, engines[name].url) for name in names]
        return (route(targets=(target("twin", 1, *replicas),), affinity_header="x-session-id"),)

    gateway = await start(*published("twin-0", "twin-1", "big"))
    sessions = [f"s{number}" for number in range(12)]
    homes = {session: await replica_of(gateway, **{"x-session-id": session}) for session in sessions}
    assert len(set(homes.values())) == 3
    publisher.routes(*published("twin-0", "twin-1"))
    lost = next(session for session in sessions if homes[session] == "big")

    async def moved() -> bool:
        return await replica_of(gateway, **{"x-session-id": lost}) != "big"

    await eventually(moved)
    for session in sessions:
        if homes[session] != "big":
            assert await replica_of(gateway, **{"x-session-id": session}) == homes[session]
