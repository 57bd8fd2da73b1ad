"""A gateway of its own for each test that wants one: real Valkey, real PostgreSQL, stand-in engines."""

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import httpx
import psutil
import psycopg
import pytest
import redis as redis_sync
from psycopg.rows import dict_row

from inference.contract import keys, tables
from inference.contract.engine_keys import EngineKeys
from tests.inference import engine as fake
from tests.register_wiping import FORBID, LET
from tests.waiting import eventually

PROJECT = "alpha"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass
class Key:
    token: str
    entry: tables.KeyEntry


def new_key(**fields: Any) -> Key:
    """A key as the control plane would publish it."""
    parsed = keys.generate()
    digest = keys.digest(parsed.token, keys.pepper(os.environ["SECRET_KEY"]))
    entry = tables.KeyEntry(**{"id": parsed.id, "digest": digest, "project": PROJECT, "name": "test", **fields})
    return Key(parsed.token, entry)


def route(name: str = "smol", *urls: str, **fields: Any) -> tables.RouteEntry:
    """A route with one target that has one replica for each URL."""
    replicas = tuple(tables.ReplicaEntry(f"{name}-{i}", url, "engine-secret") for i, url in enumerate(urls))
    target = tables.TargetEntry(f"{name}-d", 1, "smollm2", "smollm2:1", "served", replicas)
    return tables.RouteEntry(
        **{"name": name, "project": None, "created": 1, "max_model_len": 2048, "targets": (target,), **fields}
    )


class Publisher:
    """Writes the gateway's tables as `controlplane.publish` does."""

    def __init__(self, client: redis_sync.Redis) -> None:
        self.client = client
        self._engine_keys = EngineKeys(os.environ["SECRET_KEY"])

    def write(self, routes: tuple[tables.RouteEntry, ...]) -> None:
        self.client.set(tables.ROUTES, tables.encode(self._engine_keys.sealed(tables.RouteTable(routes))))

    def all(self, *routes: tables.RouteEntry, keys: tuple[Key, ...] = ()) -> None:
        self.client.delete(tables.KEYS)
        for key in keys:
            self.client.hset(tables.KEYS, key.entry.id, tables.encode(key.entry))
        self.write(routes)
        self.client.set(tables.GENERATION, secrets.token_hex(8))
        self.client.xadd(tables.CHANGES, {"kind": tables.CHANGE_ALL, "id": ""})

    def routes(self, *routes: tables.RouteEntry) -> None:
        self.write(routes)
        self.client.xadd(tables.CHANGES, {"kind": tables.CHANGE_ROUTES, "id": ""})

    def key(self, key: Key) -> None:
        self.client.hset(tables.KEYS, key.entry.id, tables.encode(key.entry))
        self.client.xadd(tables.CHANGES, {"kind": tables.CHANGE_KEY, "id": key.entry.id})

    def revoke(self, key: Key) -> None:
        self.client.hdel(tables.KEYS, key.entry.id)
        self.client.xadd(tables.CHANGES, {"kind": tables.CHANGE_KEY, "id": key.entry.id})


@pytest.fixture
def redis_url() -> str:
    """A Redis database of our own, so that nothing of other tests lies in it."""
    return f"{os.environ['REDIS_URL']}?db=9"


@pytest.fixture
def publisher(redis_url: str) -> Iterator[Publisher]:
    with redis_sync.Redis.from_url(redis_url) as client:
        client.flushdb()
        yield Publisher(client)
        client.flushdb()


class Database(NamedTuple):
    """A database as the gateway's role reaches it, and as its owner does."""

    url: str
    owner_url: str


@pytest.fixture(scope="session")
def gateway_database() -> Iterator[Database]:
    """A database of the gateway's own with the real migrations: what it commits meets no other test."""
    name = f"gateway_{secrets.token_hex(4)}"
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        ours = {
            variable: in_database(os.environ[variable], name) for variable in ("DATABASE_URL", "DATABASE_OWNER_URL")
        }
        manage = Path(__file__).parents[2] / "manage.py"
        subprocess.run([sys.executable, manage, "migrate", "-v0"], check=True, env={**os.environ, **ours})
        yield Database(ours["DATABASE_URL"], ours["DATABASE_OWNER_URL"])
        drop_database(server, name)


def drop_database(server: "psycopg.Connection[Any]", name: str) -> None:
    """With whoever is still connected; PostgreSQL's own autovacuum, whom only a superuser ends, is waited for."""
    for attempt in range(20):
        try:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        except psycopg.errors.InsufficientPrivilege:
            if attempt == 19:
                raise
            time.sleep(0.5)
        else:
            return


def in_database(url: str, name: str) -> str:
    """The same server's URL with another database."""
    parts = psycopg.conninfo.conninfo_to_dict(url)
    del parts["dbname"]
    return f"postgresql:///{name}?{urlencode(parts, quote_via=quote)}"


@pytest.fixture
def owner_url(gateway_database: Database) -> Iterator[str]:
    """The owner's way into the register's database, which is emptied after each test."""
    yield gateway_database.owner_url
    with psycopg.connect(gateway_database.owner_url, autocommit=True) as connection:
        connection.execute(f"{LET} TRUNCATE audit_event, audit_body; {FORBID}")


@pytest.fixture
def database_url(gateway_database: Database, owner_url: str) -> str:
    """The gateway's own way into it."""
    del owner_url
    return gateway_database.url


@pytest.fixture
def key() -> Key:
    """The key of this test; what others leave in the register belongs to theirs."""
    return new_key()


@dataclass
class RegisterReader:
    url: str
    key: Key

    def rows(self, **where: Any) -> list[dict[str, Any]]:
        """This test's committed rows in the order of writing."""
        with psycopg.connect(self.url, row_factory=dict_row) as connection:
            found = connection.execute("SELECT * FROM audit_event ORDER BY at, writer_seq").fetchall()
        ours = [row for row in found if row["actor_id"] in {self.key.entry.id, ""}]
        return [row for row in ours if all(row[name] == value for name, value in where.items())]


@pytest.fixture
def register(owner_url: str, key: Key) -> RegisterReader:
    return RegisterReader(owner_url, key)


@dataclass
class Gateway:
    """A running ``python -m inference``."""

    process: subprocess.Popen[bytes]
    port: int
    metrics_port: int
    log: Path
    key: Key
    http: httpx.AsyncClient = field(init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def authorization(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key.token}"}

    async def chat(self, content: str = "hi", **fields: Any) -> httpx.Response:
        body = {"model": "smol", "messages": [{"role": "user", "content": content}], **fields}
        return await self.http.post("/v1/chat/completions", json=body, headers=self.authorization)

    async def operator_get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as http:
            return await http.get(f"http://127.0.0.1:{self.metrics_port}{path}")

    def workers(self) -> list[int]:
        """Process ids of the live workers."""
        children = psutil.Process(self.process.pid).children()
        alive = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
        return [child.pid for child in alive if any("spawn_main" in part for part in child.cmdline())]


def spawn(log: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "inference"], stdout=out, stderr=out, env={**os.environ, **environment}
        )


Start = Callable[..., Any]
Fleet = dict[frozenset[tuple[str, str]], Gateway]


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    """Running gateways by their environment: most tests only need one, and starting takes a second or two."""
    running: Fleet = {}
    yield running
    for gateway in running.values():
        stop(gateway)


def stop(gateway: Gateway) -> None:
    """SIGTERM, and once more if it drains for long: that ends it at once."""
    gateway.process.send_signal(signal.SIGTERM)
    try:
        gateway.process.wait(5)
    except subprocess.TimeoutExpired:
        gateway.process.send_signal(signal.SIGTERM)
        gateway.process.wait(10)


@pytest.fixture
async def start(
    publisher: Publisher,
    redis_url: str,
    database_url: str,
    key: Key,
    fleet: Fleet,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Start]:
    """A gateway that knows the given routes: ``await start(route("smol", engine.url))``.

    `fresh` asks for one that no other test has seen and that may be harmed.
    """
    fresh_ones: list[Gateway] = []
    clients: list[httpx.AsyncClient] = []

    def launch(environment: dict[str, str]) -> Gateway:
        port, metrics_port = free_port(), free_port()
        own = {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "SIGNALBOX_GATEWAY_PORT": str(port),
            "SIGNALBOX_GATEWAY_METRICS_PORT": str(metrics_port),
            "SIGNALBOX_GATEWAY_WORKERS": "1",
            "SIGNALBOX_GATEWAY_SPOOL": "off",
        }
        log = tmp_path_factory.mktemp("gateway") / "log"
        return Gateway(spawn(log, {**own, **environment}), port, metrics_port, log, key)

    async def _start(
        *routes: tables.RouteEntry, fresh: bool = False, ready: bool = True, **environment: str
    ) -> Gateway:
        publisher.all(*routes, keys=(key,))
        name = frozenset(environment.items())
        if fresh or not ready:
            gateway = launch(environment)
            fresh_ones.append(gateway)
        else:
            if name not in fleet or fleet[name].process.poll() is not None:
                fleet[name] = launch(environment)
            gateway = fleet[name]
            gateway.key = key
        gateway.http = httpx.AsyncClient(base_url=gateway.url, timeout=20, trust_env=False)
        clients.append(gateway.http)
        if ready:
            await eventually(lambda: _ready(gateway))
        return gateway

    yield _start
    for client in clients:
        await client.aclose()
    for gateway in fresh_ones:
        await asyncio.to_thread(stop, gateway)


async def _ready(gateway: Gateway) -> bool:
    assert gateway.process.poll() is None, gateway.log.read_text()
    try:
        known = await gateway.http.get("/v1/models", headers=gateway.authorization)
        return known.status_code == 200 and (await gateway.http.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
async def engine() -> AsyncIterator[fake.Engine]:
    async with fake.Engine(fake.answer) as running:
        yield running
