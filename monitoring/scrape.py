"""Asking all targets at once for their metrics, none for long and none for much."""

import asyncio
import logging
import ssl
from collections.abc import Iterable
from typing import NamedTuple

import httpx

from monitoring.exposition import LARGEST
from monitoring.targets import Target
from monitoring.vocabulary import Reading, readings

logger = logging.getLogger(__name__)

SECONDS = 3.0
AT_ONCE = 64


class Answer(NamedTuple):
    """What one target told; none when it did not answer."""

    target: Target
    readings: list[Reading]
    error: str = ""


def scrape(targets: Iterable[Target]) -> list[Answer]:
    """Their answers, in the same order. One that fails or dawdles hides no other."""
    return asyncio.run(_scrape(list(targets)))


async def _scrape(targets: list[Target]) -> list[Answer]:
    places = asyncio.Semaphore(AT_ONCE)
    clients: dict[ssl.SSLContext | None, httpx.AsyncClient] = {}
    try:
        for target in targets:
            if target.trust not in clients:
                clients[target.trust] = _client(target.trust)
        return list(await asyncio.gather(*(_ask(clients[target.trust], target, places) for target in targets)))
    finally:
        await asyncio.gather(*(client.aclose() for client in clients.values()))


def _client(trust: ssl.SSLContext | None) -> httpx.AsyncClient:
    # Each target is asked once, so no connection is kept: idle ones would be looked through at each step of the others.
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=0)
    return httpx.AsyncClient(
        timeout=SECONDS, trust_env=False, follow_redirects=False, limits=limits, verify=trust or _MACHINES
    )


_MACHINES = ssl.create_default_context()


async def _ask(client: httpx.AsyncClient, target: Target, places: asyncio.Semaphore) -> Answer:
    try:
        async with places, asyncio.timeout(SECONDS):
            text = await _text(client, target.url)
        return Answer(target, [Reading("target_up", (1.0,)), *readings(target.kind, text)])
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, _Unusable) as exc:
        logger.debug("%s was not scraped: %s", target.name, exc)
        return Answer(target, [Reading("target_up", (0.0,))], str(exc) or type(exc).__name__)


class _Unusable(Exception):
    """An answer that is not taken."""


async def _text(client: httpx.AsyncClient, url: str) -> bytes:
    async with client.stream("GET", url, headers={"accept": "text/plain"}) as response:
        if response.status_code != 200:
            raise _Unusable(f"answered {response.status_code}")
        parts, size = [], 0
        async for part in response.aiter_bytes():
            parts.append(part)
            size += len(part)
            if size > LARGEST:
                raise _Unusable(f"more than {LARGEST} bytes")
        return b"".join(parts)
