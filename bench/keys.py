"""How soon a gateway knows 100,000 keys, and how soon it knows that one of them is revoked (S4).

    python -m bench.keys            100,000 keys, 100 revocations, half of them while everything is published anew

Bars: loaded in 5 s, each revocation in 1 s. On 2 cores: loaded in 0.1 to 0.5 s, revoked in 2 ms, in 0.15 s at most
while all keys are being read anew.
"""

import asyncio
import contextlib
import secrets
import statistics
import time

from redis import Redis

from bench.limiter import valkey
from inference.auth import Authenticator
from inference.contract import keys, tables
from inference.errors import InvalidKey
from inference.tables import Tables, connect

KEYS = 100_000
REVOKED = 100
SECRET = secrets.token_urlsafe(48)
BATCH = 5_000


def entry(token: keys.ParsedKey) -> bytes:
    """A key as the control plane publishes it, with scopes."""
    digest = keys.digest(token.token, keys.pepper(SECRET))
    return tables.encode(
        tables.KeyEntry(token.id, digest, "default", "bench", endpoints=("chat",), cidrs=("10.0.0.0/8",))
    )


def publish(client: Redis, everything: dict[str, bytes]) -> None:
    """All of it under a new generation, as the workers' periodic pass does."""
    names = list(everything)
    client.delete(tables.KEYS + ".new")
    for start in range(0, len(names), BATCH):
        client.hset(tables.KEYS + ".new", mapping={name: everything[name] for name in names[start : start + BATCH]})
    with client.pipeline() as pipeline:
        pipeline.rename(tables.KEYS + ".new", tables.KEYS)
        pipeline.set(tables.ROUTES, tables.encode(tables.RouteTable()))
        pipeline.set(tables.GENERATION, secrets.token_hex(8))
        pipeline.xadd(tables.CHANGES, {"kind": tables.CHANGE_ALL, "id": ""})
        pipeline.execute()


def revoke(client: Redis, key_id: str) -> None:
    with client.pipeline() as pipeline:
        pipeline.hdel(tables.KEYS, key_id)
        pipeline.xadd(tables.CHANGES, {"kind": tables.CHANGE_KEY, "id": key_id})
        pipeline.execute()


async def refused(keeper: Authenticator, token: str) -> float:
    """Seconds until the token is refused."""
    began = time.perf_counter()
    while True:
        try:
            keeper.authenticate(token)
        except InvalidKey:
            return time.perf_counter() - began
        await asyncio.sleep(0.001)


async def measure(url: str) -> None:
    victims = [keys.generate() for _ in range(REVOKED)]
    everything = {token.id: entry(token) for token in victims}
    filler = entry(keys.generate())
    everything |= {f"{number:08d}": filler for number in range(KEYS - REVOKED)}
    client = Redis.from_url(url)
    publish(client, everything)
    connection = connect(url)
    known = Tables(connection, secrets.token_urlsafe(48))
    began = time.perf_counter()
    following = asyncio.create_task(known.follow())
    while not known.loaded:  # noqa: ASYNC110 - it tells nobody when it is
        await asyncio.sleep(0.001)
    print(f"{len(known.keys):,} keys loaded in {time.perf_counter() - began:.2f} s (bar 5 s)")

    keeper = Authenticator(known, SECRET)
    waits: list[float] = []
    for number, victim in enumerate(victims):
        keeper.authenticate(victim.token)
        everything.pop(victim.id)
        if number % 2:
            client.xadd(tables.CHANGES, {"kind": tables.CHANGE_ALL, "id": ""})  # the gateway reads all of it meanwhile
            await asyncio.sleep(0.01)
        revoke(client, victim.id)
        waits.append(await refused(keeper, victim.token))
    quiet, busy = waits[::2], waits[1::2]
    for name, found in (("alone", quiet), ("during a full reload", busy)):
        middle, longest = statistics.median(found) * 1000, max(found) * 1000
        print(f"revoked, {name}: p50 {middle:.0f} ms, longest {longest:.0f} ms of {len(found)} (bar 1,000 ms)")
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following
    await connection.aclose()
    client.close()


def main() -> None:
    with valkey() as (server, _):
        asyncio.run(measure(server.url))


if __name__ == "__main__":
    main()
