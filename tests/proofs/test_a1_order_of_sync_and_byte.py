"""A1, as the kernel saw it: PostgreSQL has synced its log before the client's first byte, and again before its last."""

import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from tests.inference.conftest import Database, Gateway, Start, route
from tests.inference.engine import Engine
from tests.tools import needed
from tests.waiting import eventually

CALLS = "fsync,fdatasync,write,writev,sendto,sendmsg"
_ENDED = re.compile(r"^(\d+) +(\d+\.\d+) (?:<\.\.\. )?(\w+)(?: resumed>|\()(.*) = (-?\d+)")
_BEGAN = re.compile(r"^(\d+) +(\d+\.\d+) (\w+)\((.*)")


class Call(NamedTuple):
    """A system call that ended well, or the beginning of one that writes."""

    at: float
    pid: int
    name: str
    arguments: str


@contextmanager
def watched(pids: list[int], out: Path) -> Iterator[None]:
    """strace on these processes; skips the test where nobody may look into another process."""
    strace = needed("strace", "strace")
    attach = [argument for pid in pids for argument in ("-p", str(pid))]
    argv = [strace, "-f", "-ttt", "-T", "-s", "400", "-e", f"trace={CALLS}", "-o", str(out), *attach]
    tracer = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    told = ""
    try:
        for _ in pids:
            told += tracer.stderr.readline()
            if "ttached" not in told or "not permitted" in told:
                pytest.skip(f"this machine does not let strace look: {told.strip()}")
        yield
    finally:
        tracer.terminate()
        tracer.communicate(timeout=20)


def calls(out: Path) -> tuple[list[Call], list[Call]]:
    """Syncs by the moment of their end, and writes by that of their beginning."""
    syncs, writes = [], []
    for line in out.read_text(errors="replace").splitlines():
        ended, began = _ENDED.match(line), _BEGAN.match(line)
        if ended and "sync" in ended[3] and ended[5] == "0":
            syncs.append(Call(_end(line, ended), int(ended[1]), ended[3], ended[4]))
        elif began and "sync" not in began[3]:
            writes.append(Call(float(began[2]), int(began[1]), began[3], began[4]))
    return syncs, writes


def _end(line: str, call: "re.Match[str]") -> float:
    """A call that was told in one line began at its time and took what stands at its end."""
    took = re.search(r"<(\d+\.\d+)>$", line)
    return float(call[2]) + (float(took[1]) if took and "resumed" not in line else 0.0)


def backends(database: Database) -> list[int]:
    """PostgreSQL's processes: whoever commits may sync, and so may its own writer of the log."""
    with psycopg.connect(database.owner_url) as connection:
        found = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " OR backend_type = 'walwriter'"
        ).fetchall()
    return [pid for (pid,) in found]


def moment(writes: list[Call], gateway: int, text: str, *, last: bool = False) -> float:
    """When the gateway wrote this to its client."""
    found = [call.at for call in writes if call.pid == gateway and text in call.arguments]
    assert found, f"{text!r} was never written"
    return found[-1 if last else 0]


@pytest.mark.parametrize("stream", [True, False])
async def test_synced_before_the_first_byte_and_before_the_last(
    start: Start, engine: Engine, gateway_database: Database, stream: bool
) -> None:
    gateway: Gateway = await start(route("smol", engine.url), fresh=True)
    (await gateway.chat("warm", stream=stream)).raise_for_status()
    (worker,) = gateway.workers()
    with tempfile.TemporaryDirectory(prefix="sbx-strace-") as name:
        out = Path(name) / "calls"
        with watched([worker, *backends(gateway_database)], out):
            asked = time.time()
            answer = await gateway.chat("watched", stream=stream)
            await eventually(lambda: out.read_text().count("HTTP/1.1 200"), 10)
        answer.raise_for_status()
        syncs, writes = calls(out)
    first = moment(writes, worker, "HTTP/1.1 200")
    assert [sync for sync in syncs if sync.pid != worker and asked < sync.at < first], "the intent was not synced"
    if stream:
        last = moment(writes, worker, "[DONE]", last=True)
        assert [sync for sync in syncs if sync.pid != worker and first < sync.at < last], "the outcome was not synced"
