import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from config import embedded, embedded_roles
from tests.waiting import until


@pytest.fixture
def home() -> Iterator[Path]:
    """Not pytest's own directory: another pytest that starts meanwhile closes that to PostgreSQL's user."""
    with tempfile.TemporaryDirectory(prefix="sbx-test-") as path:
        yield Path(path)


@pytest.fixture
def running(home: Path) -> Iterator[list[tuple[embedded.Server, subprocess.Popen[bytes]]]]:
    started: list[tuple[embedded.Server, subprocess.Popen[bytes]]] = []
    yield started
    for server, process in started:
        process.send_signal(server.stop_signal)
        process.wait(20)


def start(server: embedded.Server, home: Path, running: list) -> subprocess.Popen[bytes]:
    process = server.start(home / "log")
    running.append((server, process))
    server.wait()
    return process


def test_postgresql_answers_on_its_socket_only(home: Path, running: list) -> None:
    server = embedded.postgres(home)
    start(server, home, running)
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert connection.execute("SELECT current_database()").fetchone() == ("signalbox",)


def test_sockets_are_private(home: Path) -> None:
    embedded.valkey(home)
    assert (home / "run" / "valkey").stat().st_mode & 0o777 == 0o700


def test_half_made_database_is_made_anew(home: Path, running: list) -> None:
    (home / "postgres").mkdir()
    (home / "postgres" / "base").mkdir()
    (home / "postgres.partial").mkdir()
    start(embedded.postgres(home), home, running)
    assert not (home / "postgres.partial").exists()


def test_postgresql_keeps_its_data_over_a_kill(home: Path, running: list) -> None:
    server = embedded.postgres(home)
    process = start(server, home, running)
    owner_url = server.environment["DATABASE_OWNER_URL"]
    with psycopg.connect(owner_url) as connection:
        connection.execute("CREATE TABLE t AS SELECT 42 AS answer")
    process.kill()
    process.wait(10)
    start(embedded.postgres(home), home, running)
    with psycopg.connect(owner_url) as connection:
        assert connection.execute("SELECT answer FROM t").fetchone() == (42,)


def test_database_from_before_the_roles_gets_them(home: Path, running: list) -> None:
    """All belonged to the superuser; it is the owner's now, with what was in it, and the processes are let in."""
    server = embedded.postgres(home)
    process = server.start(home / "log")
    running.append((server, process))
    superuser = server.url.replace(f"user={embedded_roles.PROCESSES}", f"user={embedded.SUPERUSER}")
    until(lambda: answers(superuser))
    with psycopg.connect(superuser, dbname="postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE signalbox")
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("CREATE TABLE months (id int GENERATED ALWAYS AS IDENTITY, at int) PARTITION BY RANGE (at)")
        connection.execute("CREATE TABLE january PARTITION OF months FOR VALUES FROM (1) TO (2)")
        connection.execute("CREATE SEQUENCE alone")
        connection.execute("INSERT INTO months (at) VALUES (1)")
    server.wait()
    server.wait()
    with psycopg.connect(server.environment["DATABASE_OWNER_URL"], autocommit=True) as owner:
        assert owner.execute("SELECT at FROM months").fetchall() == [(1,)]
        owner.execute("CREATE TABLE february PARTITION OF months FOR VALUES FROM (2) TO (3)")
        owner.execute("DROP SEQUENCE alone")
    with psycopg.connect(server.url) as processes:
        assert processes.execute("SELECT current_user").fetchone() == (embedded_roles.PROCESSES,)


def answers(url: str) -> bool:
    with contextlib.suppress(psycopg.OperationalError):
        psycopg.connect(url, dbname="postgres").close()
        return True
    return False


def test_valkey_keeps_its_data(home: Path, running: list) -> None:
    server = embedded.valkey(home)
    process = start(server, home, running)
    with redis.Redis.from_url(server.url) as client:
        client.set("a", 1)
    process.terminate()
    process.wait(10)
    start(embedded.valkey(home), home, running)
    with redis.Redis.from_url(server.url) as client:
        assert client.get("a") == b"1"


def test_valkey_starts_with_what_a_power_cut_left(home: Path, running: list) -> None:
    """Zeros where the end of its log was not synced yet, after a command that is whole or torn."""
    server = embedded.valkey(home)
    for torn in (b"", b"*3\r\n$3\r\nSE"):
        process = start(embedded.valkey(home), home, running)
        with redis.Redis.from_url(server.url) as client:
            client.set("a", 1)
        process.terminate()
        process.wait(10)
        (log,) = (home / "valkey").glob("appendonlydir/*.incr.aof")
        log.write_bytes(log.read_bytes() + torn + bytes(200_000))
    start(embedded.valkey(home), home, running)
    with redis.Redis.from_url(server.url) as client:
        assert client.get("a") == b"1"


def test_log_of_a_running_valkey_is_left_alone(home: Path, running: list) -> None:
    start(embedded.valkey(home), home, running)
    (log,) = (home / "valkey").glob("appendonlydir/*.incr.aof")
    with log.open("ab") as file:
        file.write(bytes(10))
    embedded.valkey(home)
    assert log.read_bytes().endswith(bytes(10))


def test_long_path_gets_a_short_socket(tmp_path: Path) -> None:
    home = tmp_path / ("deep" * 30)
    assert len(str(embedded.socket_dir(home) / "postgres")) <= embedded.LONGEST_SOCKET_DIR
    assert embedded.socket_dir(home) != embedded.socket_dir(home.with_name("other" * 30))
