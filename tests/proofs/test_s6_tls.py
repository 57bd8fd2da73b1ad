"""S6: TLS 1.3 only; certificates are replaced under load, and no handshake, request or stream is lost."""

import asyncio
import signal
import ssl
from collections import Counter
from dataclasses import dataclass, field

import httpx
import pytest

from tests.inference.conftest import Gateway, Start, route
from tests.nginx import LOCAL, Nginx, NginxFor, Tls
from tests.proofs.engines import engines
from tests.proofs.proof import Proof
from tests.waiting import eventually

CLIENTS = 6
BODY = {"model": "smol", "messages": [{"role": "user", "content": "hi"}], "stream": True}
CHAT = "/v1/chat/completions"


async def serial(nginx: Nginx, context: ssl.SSLContext) -> bytes:
    """Of the certificate that a new client is shown."""
    _, writer = await asyncio.open_connection(LOCAL, nginx.gateway_port, ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return bytes(shown)


@dataclass
class Load:
    """Clients that each take a new connection for each request, and check the certificate."""

    nginx: Nginx
    gateway: Gateway
    context: ssl.SSLContext
    failed: Counter[str] = field(default_factory=Counter)
    handshakes: int = 0
    asking: bool = True

    async def ask_on(self) -> None:
        while self.asking:
            try:
                await self.once(chunks=2, pause=0.0)
            except (httpx.HTTPError, OSError) as exc:
                self.failed[f"{type(exc).__name__}: {exc}"] += 1

    async def once(self, *, chunks: int, pause: float) -> None:
        async with (
            httpx.AsyncClient(base_url=self.nginx.url, verify=self.context, trust_env=False, timeout=60) as http,
            http.stream(
                "POST", CHAT, json={**BODY, "chunks": chunks, "pause": pause}, headers=self.gateway.authorization
            ) as answer,
        ):
            self.handshakes += 1
            text = (await answer.aread()).decode()
            if answer.status_code != 200 or text.count('"content": "') != chunks or "[DONE]" not in text:
                self.failed[f"{answer.status_code}: {text[-100:]}"] += 1


async def rotate(nginx: Nginx, tls: Tls, context: ssl.SSLContext) -> None:
    """Put another certificate there, tell nginx, and wait until clients are shown it."""
    before = await serial(nginx, context)
    tls.renew()
    nginx.process.send_signal(signal.SIGHUP)

    async def shown() -> bool:
        return await serial(nginx, context) != before

    await eventually(shown)


@pytest.mark.proof("S6", seconds=300)
async def test_certificates_are_rotated_under_load(
    proof: Proof,
    start: Start,
    nginx_for: NginxFor,
    tls: Tls,
) -> None:
    rotations = 0
    with engines(1) as (engine,):
        gateway = await start(route("smol", engine.url), SIGNALBOX_TRUSTED_PROXIES=LOCAL)
        nginx = await nginx_for(gateway=gateway.port)
        load = Load(nginx, gateway, tls.client)
        clients = [asyncio.create_task(load.ask_on()) for _ in range(CLIENTS)]
        long_stream = asyncio.create_task(load.once(chunks=proof.full(10, 100), pause=0.2))
        for _ in proof.rounds(3, 100):
            await rotate(nginx, tls, load.context)
            rotations += 1
        load.asking = False
        await asyncio.gather(*clients, long_stream)
    told = ", ".join(f"{count} × {name}" for name, count in load.failed.items())
    proof.show(
        "certificate rotated under load, each request over a connection of its own, one stream through all",
        counted=f"{rotations} rotations, {load.handshakes:,} handshakes", bar="0 failed", measured=told or "0",
        held=not load.failed,
    )  # fmt: skip
    assert load.handshakes > rotations


@pytest.mark.proof("S6", seconds=60)
async def test_nothing_older_than_tls_1_3(proof: Proof, nginx_for: NginxFor) -> None:
    """Clients that offer everything older, weak suites too, on both ports."""
    nginx, refused, tried = await nginx_for(), 0, 0
    for port in (nginx.console_port, nginx.gateway_port):
        for version in ("-tls1", "-tls1_1", "-tls1_2"):
            process = await asyncio.create_subprocess_exec(
                "openssl", "s_client", "-connect", f"{LOCAL}:{port}", version, "-cipher", "ALL:@SECLEVEL=0",
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            said, _ = await process.communicate()
            tried += 1
            refused += process.returncode != 0 and b"alert protocol version" in said
    proof.show(
        "openssl s_client with TLS 1.0, 1.1, 1.2", counted=tried, bar="all refused by the server",
        measured=f"{refused} refused", held=refused == tried,
    )  # fmt: skip
