"""The real nginx with deploy/nginx/nginx.conf: only addresses and paths are other ones than in the container."""

import asyncio
import os
import secrets
import signal
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.certificates import Authority
from tests.tools import needed
from tests.waiting import eventually

CONFIGURATION = Path(__file__).parents[1] / "deploy" / "nginx" / "nginx.conf"
LOCAL = "127.0.0.1"


@dataclass
class Tls:
    """An authority and the one file, key and chain, that nginx reads."""

    authority: Authority
    file: Path

    @property
    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self.authority.pem)

    def renew(self) -> None:
        """Another certificate in the place of this one, by one rename."""
        made = self.authority.server_pem(LOCAL)
        new = self.file.with_suffix(f".{secrets.token_hex(4)}")
        new.write_bytes(made)
        new.replace(self.file)


@dataclass
class Nginx:
    process: subprocess.Popen[bytes]
    console_port: int
    gateway_port: int
    health_port: int
    log: Path

    @property
    def url(self) -> str:
        """Of the gateway."""
        return f"https://{LOCAL}:{self.gateway_port}"

    @property
    def console_url(self) -> str:
        return f"https://{LOCAL}:{self.console_port}"

    def workers(self) -> set[int]:
        """Process ids of the workers that take connections."""
        children = psutil.Process(self.process.pid).children()
        return {child.pid for child in children if "shutting down" not in " ".join(_cmdline(child))}


def _cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return ["shutting down"]


def adapted(directory: Path, tls: Path, ports: dict[str, int], upstreams: dict[str, int]) -> str:
    """Our file with places of this machine. Each change has to find what it changes."""
    text = CONFIGURATION.read_text()
    changes = {
        "/tmp/": f"{directory}/",
        "listen 8443": f"listen {LOCAL}:{ports['console']}",
        "listen 9443": f"listen {LOCAL}:{ports['gateway']}",
        "listen 127.0.0.1:8081": f"listen {LOCAL}:{ports['health']}",
        "server console:8000": f"server {LOCAL}:{upstreams['console']}",
        "server gateway:8080": f"server {LOCAL}:{upstreams['gateway']}",
        "worker_processes auto": "worker_processes 2",
        "/etc/nginx/tls/tls.pem": str(tls),
        "/dev/stdout": str(directory / "access.log"),
    }
    for old, new in changes.items():
        assert old in text, f"{CONFIGURATION.name} says no longer {old!r}"
        text = text.replace(old, new)
    return text


def run(directory: Path, tls: Path, upstreams: dict[str, int]) -> Nginx:
    """Start it; as root its workers are root's as well, because the directory is."""
    program = needed("nginx", "nginx-light")
    ports = {name: free_port() for name in ("console", "gateway", "health")}
    configuration, log = directory / "nginx.conf", directory / "error.log"
    configuration.write_text(adapted(directory, tls, ports, upstreams))
    lines = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
    argv = [program, "-e", str(log), "-p", str(directory), "-c", str(configuration), "-g", lines]
    with log.open("ab") as out:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    return Nginx(process, ports["console"], ports["gateway"], ports["health"], log)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind((LOCAL, 0))
        return int(sock.getsockname()[1])


async def answers(nginx: Nginx) -> None:
    """Return once it takes connections."""

    async def takes_one() -> bool:
        assert nginx.process.poll() is None, nginx.log.read_text()
        try:
            _, writer = await asyncio.open_connection(LOCAL, nginx.health_port)
        except OSError:
            return False
        writer.close()
        return True

    await eventually(takes_one)


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    authority = Authority()
    made = Tls(authority, tmp_path / "tls.pem")
    made.renew()
    return made


NginxFor = Callable[..., Any]


@pytest.fixture
async def nginx_for(tls: Tls, tmp_path: Path) -> AsyncIterator[NginxFor]:
    """``await nginx_for(gateway=port, console=port)``: nginx before those two, one of which may be missing."""
    running: list[Nginx] = []

    async def start(*, gateway: int = 0, console: int = 0) -> Nginx:
        directory = tmp_path / f"nginx-{len(running)}"
        directory.mkdir()
        nginx = run(directory, tls.file, {"gateway": gateway or free_port(), "console": console or free_port()})
        running.append(nginx)
        await answers(nginx)
        return nginx

    yield start
    for nginx in running:
        nginx.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(nginx.process.wait, 20)
