"""Who races: the engine itself, nginx that only forwards, and the gateway with all that it does in production.

Each is started in a private directory on loopback ports of its own and ended by its process id.
"""

import base64
import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import redis

from config import embedded
from inference.contract import keys, limits, tables

ROOT = Path(__file__).parents[1]
SLOWEST_START = 60.0
"""seconds"""
WIDE = {"requests_per_minute": 10**9, "tokens_per_minute": 10**12, "concurrency": 10**6}
"""limits that are checked and never reached"""
NGINX_CONFIGURATION = """
worker_processes 1; daemon off; error_log stderr error; pid {home}/nginx.pid;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_temp_path {home}/b; proxy_temp_path {home}/p;
  fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
  upstream engine {{ server 127.0.0.1:{engine}; keepalive 512; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    location / {{ proxy_pass http://engine; }}
  }}
}}
"""


@dataclass
class Contestant:
    """Something that answers on a port. `pid` None: the engine itself, measured without anybody in between."""

    name: str
    port: int
    key: str = "none"
    pid: int | None = None

    def cpu(self) -> float:
        """Seconds of CPU that its processes have used until now."""
        return sum(sum(process.cpu_times()[:2]) for process in self._processes())

    def memory(self) -> int:
        """Bytes that its processes hold alone (USS)."""
        return sum(process.memory_full_info().uss for process in self._processes())

    def _processes(self) -> list[psutil.Process]:
        if self.pid is None:
            return []
        parent = psutil.Process(self.pid)
        return [parent, *parent.children(recursive=True)]


def free_port() -> int:
    """A loopback port that nobody uses now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SLOWEST_START
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.05)
    sys.exit(f"{process.args} does not answer on port {port}")


@contextlib.contextmanager
def _running(argv: list[str], port: int, log: Path, env: dict[str, str] | None = None) -> Iterator[int]:
    with log.open("ab") as out:
        process = subprocess.Popen(argv, stdout=out, stderr=out, cwd=ROOT, env={**os.environ, **(env or {})})
    try:
        _wait(port, process)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.terminate()  # the second signal ends open streams
            process.wait(15)


@contextlib.contextmanager
def engine(home: Path, *, hold: bool = False, chunks: int = 64, prefill: float = 0.0) -> Iterator[Contestant]:
    """The stand-in engine; `prefill` is in seconds."""
    port = free_port()
    argv = [sys.executable, "-m", "bench.engine", str(port), "--chunks", str(chunks), "--prefill", str(prefill)]
    argv += ["--hold"] if hold else []
    with _running(argv, port, home / "engine.log"):
        yield Contestant("engine alone", port)


@contextlib.contextmanager
def nginx(home: Path, engine_port: int) -> Iterator[Contestant]:
    """nginx, one worker, forwarding and nothing else."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        sys.exit(
            "The race needs nginx to compare with: apt-get install nginx-light (or nginx), then `make bench` again."
        )
    port, configuration = free_port(), home / "nginx.conf"
    configuration.write_text(NGINX_CONFIGURATION.format(home=home, port=port, engine=engine_port))
    with _running([program, "-p", str(home), "-c", str(configuration)], port, home / "nginx.log") as pid:
        yield Contestant("nginx", port, pid=pid)


@contextlib.contextmanager
def stores(home: Path) -> Iterator[dict[str, str]]:
    """A private PostgreSQL with the register's tables and a private Valkey, as environment."""
    with contextlib.ExitStack() as stack:
        found = {"SECRET_KEY": secrets.token_urlsafe(48), "SIGNALBOX_PLAIN_HTTP": "1", "SIGNALBOX_HOME": str(home)}
        for name in ("SIGNALBOX_MASTER_KEY", "SIGNALBOX_JWT_KEY", "SIGNALBOX_SEAL_KEY"):
            found[name] = base64.b64encode(secrets.token_bytes(32)).decode()
        for make in (embedded.postgres, embedded.valkey):
            server = make(home)
            process = server.start(home / "stores.log")
            stack.callback(process.wait, 30)
            stack.callback(process.send_signal, server.stop_signal)
            server.wait()
            found.update(server.environment)
        migrate = [sys.executable, "manage.py", "migrate", "-v0", "audit"]
        subprocess.run(migrate, check=True, cwd=ROOT, env={**os.environ, **found})
        yield found


def publish(environment: dict[str, str], engine_port: int) -> str:
    """Write the gateway's tables as the console does; answers with the key."""
    parsed = keys.generate()
    digest = keys.digest(parsed.token, keys.pepper(environment["SECRET_KEY"]))
    mine = limits.LimitEntry("bench", key=parsed.id, **WIDE)
    everybody = limits.LimitEntry(limits.PLATFORM, route="smol", shared=True, **WIDE)
    key = tables.KeyEntry(id=parsed.id, digest=digest, project="bench", name="bench", limits=(mine,))
    replica = tables.ReplicaEntry("smol-0", f"http://127.0.0.1:{engine_port}")
    target = tables.TargetEntry("smol", 1, "smol", "smol:1", "smol", (replica,))
    route = tables.RouteEntry("smol", None, 1, 2048, (target,))
    with redis.Redis.from_url(environment["REDIS_URL"]) as client:
        client.hset(tables.KEYS, key.id, tables.encode(key))
        client.set(tables.ROUTES, tables.encode(tables.RouteTable((route,))))
        client.set(limits.TABLE, limits.encode(limits.LimitTable((everybody,))))
        client.set(tables.GENERATION, secrets.token_hex(8))
        client.xadd(tables.CHANGES, {"kind": tables.CHANGE_ALL, "id": ""})
    return parsed.token


@contextlib.contextmanager
def gateway(
    home: Path, environment: dict[str, str], engine_port: int, *, module: str = "inference"
) -> Iterator[Contestant]:
    """The gateway: one process, key, limits on key and route, durable register, access log, metrics."""
    port = free_port()
    own = {
        "SIGNALBOX_GATEWAY_PORT": str(port), "SIGNALBOX_GATEWAY_METRICS_PORT": str(free_port()),
        "SIGNALBOX_GATEWAY_WORKERS": "1", "SIGNALBOX_GATEWAY_DRAIN_SECONDS": "1",
    }  # fmt: skip
    key = publish(environment, engine_port)
    with _running([sys.executable, "-m", module], port, home / "gateway.log", {**environment, **own}) as pid:
        _wait_ready(port)
        yield Contestant("Signalbox", port, key, pid)


def _wait_ready(port: int) -> None:
    deadline = time.monotonic() + SLOWEST_START
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as sock:
            sock.sendall(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            if sock.recv(64).startswith(b"HTTP/1.1 200"):
                return
        time.sleep(0.1)
    sys.exit("The gateway does not become ready: see gateway.log.")


def rows(environment: dict[str, str]) -> int:
    """How many rows the register holds."""
    with psycopg.connect(environment["DATABASE_OWNER_URL"]) as connection:
        found = connection.execute("SELECT count(*) FROM audit_event").fetchone()
    return int(found[0]) if found else 0
