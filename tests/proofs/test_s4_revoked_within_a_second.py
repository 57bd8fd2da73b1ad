"""S4: a revoked key stops working everywhere within a second; a malformed one costs no look-up."""

import asyncio
import random
import secrets
import time

import psutil
import pytest

from bench.limiter import quantile
from inference.auth import Authenticator
from inference.contract import keys, tables
from inference.errors import InvalidKey
from tests.inference.conftest import PROJECT, Gateway, Key, Publisher, Start, new_key, route
from tests.inference.engine import Engine
from tests.proofs.client import Client
from tests.proofs.proof import Proof

CONNECTIONS_A_WORKER = 4
LATEST = 5.0
"""seconds after which a key is taken for never revoked"""


def peers_of(pid: int) -> set[int]:
    """The ports that are connected with a process."""
    return {connection.raddr.port for connection in psutil.Process(pid).net_connections("tcp") if connection.raddr}


async def clients_of_all(gateway: Gateway, workers: int) -> list[Client]:
    """Connections that are spread over all workers."""
    async with asyncio.timeout(60):
        while True:
            clients = [Client(gateway.port, gateway.key.token) for _ in range(CONNECTIONS_A_WORKER * workers)]
            await asyncio.gather(*(client.ask({}) for client in clients))
            ports = {client.local_port for client in clients}
            if all(ports & peers_of(pid) for pid in gateway.workers()) and len(gateway.workers()) == workers:
                return clients
            for client in clients:
                client.leave()


def fill(publisher: Publisher, count: int) -> None:
    """So many keys of others."""
    digest = new_key().entry.digest
    for start in range(0, count, 5_000):
        made = (tables.KeyEntry(f"{n:08d}", digest, PROJECT, "other") for n in range(start, min(start + 5_000, count)))
        publisher.client.hset(tables.KEYS, mapping={entry.id: tables.encode(entry) for entry in made})


async def last_success(client: Client) -> float:
    """When the last request was begun that was still served; infinite if it never ended."""
    last, until = 0.0, time.monotonic() + LATEST
    while time.monotonic() < until:
        answer = await client.ask({})
        if answer.status == 401:
            assert (await client.ask({})).status == 401
            return last
        if answer.status == 200:
            last = answer.asked
        await asyncio.sleep(0.005)
    return float("inf")


async def revoke_under_fire(publisher: Publisher, clients: list[Client], victim: Key, *, reloading: bool) -> float:
    """Seconds after the revocation at which a request was begun that was still served; 0 if none was."""
    for client in clients:
        client.token = victim.token
    hammering = [asyncio.create_task(last_success(client)) for client in clients]
    await asyncio.sleep(0.05)
    if reloading:  # every worker reads everything anew, and hears of the revocation meanwhile
        publisher.client.xadd(tables.CHANGES, {"kind": tables.CHANGE_ALL, "id": ""})
        await asyncio.sleep(0.01)
    revoked = time.monotonic()
    await asyncio.to_thread(publisher.revoke, victim)
    last = await asyncio.gather(*hammering)
    assert min(last) > 0, "the key was refused before it was revoked"
    return max(0.0, max(last) - revoked)


@pytest.mark.proof("S4", seconds=150)
async def test_revoked_key_is_out_everywhere(proof: Proof, start: Start, publisher: Publisher, engine: Engine) -> None:
    workers, others = proof.full(2, 4), proof.full(1_000, 100_000)
    gateway = await start(route("smol", engine.url), fresh=True, SIGNALBOX_GATEWAY_WORKERS=str(workers))
    await asyncio.to_thread(fill, publisher, others)
    victims = [new_key() for _ in range(proof.full(6, 100))]
    for victim in victims:
        publisher.client.hset(tables.KEYS, victim.entry.id, tables.encode(victim.entry))
    publisher.client.xadd(tables.CHANGES, {"kind": tables.CHANGE_ALL, "id": ""})
    await asyncio.sleep(proof.full(1.0, 5.0))
    clients = await clients_of_all(gateway, workers)
    waits = [
        await revoke_under_fire(publisher, clients, victims[number], reloading=bool(number % 2))
        for number in proof.rounds(6, 100)
    ]
    for client in clients:
        client.leave()
    for name, found in (("", waits[::2]), (" while all keys are read anew", waits[1::2])):
        proof.show(
            f"last request served after a revocation{name}, {workers} workers, {others:,} keys",
            counted=len(found), bar="≤ 1 s", held=max(found) <= 1, timed=float("inf") not in found,
            measured=f"p50 {quantile(found, 0.5):.0f} ms, longest {quantile(found, 1):.0f} ms",
        )  # fmt: skip


@pytest.mark.proof("S4", seconds=60)
async def test_new_table_is_applied_everywhere(
    proof: Proof, start: Start, publisher: Publisher, engine: Engine
) -> None:
    """By the same way as a revocation: a route that was not there before."""
    workers = proof.full(2, 4)
    gateway = await start(route("smol", engine.url), fresh=True, SIGNALBOX_GATEWAY_WORKERS=str(workers))
    clients, waits = await clients_of_all(gateway, workers), []
    for number in proof.rounds(3, 50):
        name = f"new-{number}"
        asking = [asyncio.create_task(last_unknown(client, name)) for client in clients]
        await asyncio.sleep(0.05)
        published = time.monotonic()
        await asyncio.to_thread(publisher.routes, route("smol", engine.url), route(name, engine.url))
        waits.append(max(0.0, max(await asyncio.gather(*asking)) - published))
    for client in clients:
        client.leave()
    proof.show(
        f"last 404 of a new route, {workers} workers", counted=len(waits), bar="≤ 1 s", held=max(waits) <= 1,
        timed=float("inf") not in waits,
        measured=f"p50 {quantile(waits, 0.5):.0f} ms, longest {quantile(waits, 1):.0f} ms",
    )  # fmt: skip


async def last_unknown(client: Client, model: str) -> float:
    """When the last request was begun for which there was no such route yet; infinite if there never was one."""
    last, until = 0.0, time.monotonic() + LATEST
    while time.monotonic() < until:
        answer = await client.ask({"model": model})
        if answer.status == 200:
            return last
        last = answer.asked
        await asyncio.sleep(0.005)
    return float("inf")


class Counted(dict[str, bytes]):
    """Published keys that count how often one is looked for."""

    looks = 0

    def get(self, name: str, default: bytes | None = None) -> bytes | None:  # type: ignore[override]
        self.looks += 1
        return super().get(name, default)


class Known:
    """Tables with one key."""

    loaded = True

    def __init__(self, key: Key) -> None:
        self.keys = Counted({key.entry.id: tables.encode(key.entry)})


def spoilt(token: str, dice: random.Random) -> str:
    """Mistyped, cut off, run together, or of another kind altogether."""
    place = dice.randrange(len(token))
    other = dice.choice(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_ .é\0".replace(token[place], "")
    )
    return dice.choice(
        (
            token[:place] + other + token[place + 1 :],
            token[:place] + token[place + 1 :],
            token[: place or 1],
            token + other,
            token + token,
            token[:4] + secrets.token_urlsafe(dice.randrange(80)),
            "sk-" + secrets.token_urlsafe(32),
        )
    )


@pytest.mark.proof("S4", seconds=30)
def test_malformed_key_costs_no_look_up(proof: Proof) -> None:
    good, dice, secret, refused = new_key(), random.Random(4), secrets.token_urlsafe(48), 0
    known = Known(good)
    keeper = Authenticator(known, secret)  # type: ignore[arg-type]
    for _ in proof.rounds(1_000, 100_000):
        token = spoilt(good.token, dice)
        with pytest.raises(InvalidKey):
            keeper.authenticate(token)
        refused += 1
    proof.show(
        "look-ups of malformed keys", counted=refused, bar="0", measured=known.keys.looks, held=not known.keys.looks
    )
    with pytest.raises(InvalidKey):
        keeper.authenticate(keys.generate().token)
    assert known.keys.looks == 1, "the counter counts"
