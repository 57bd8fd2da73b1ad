"""The disk that A1's power cuts are simulated with: what was synced stays, what was not is lost. Were it not so, the
proof could not fail.
"""

import os
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from config import embedded
from tests.proofs.machine import sync
from tests.proofs.store import Store
from tests.proofs.volume import Volume, volume

ROWS = 2_000


@pytest.fixture
def disk() -> Iterator[Volume]:
    with tempfile.TemporaryDirectory(prefix="sbx-disk-") as name:
        Path(name).chmod(0o755)
        with volume(Path(name) / "disk", 512) as made:
            yield made


def test_what_was_synced_stays_and_the_rest_is_gone(disk: Volume) -> None:
    for name in ("synced", "grown", "unsynced"):
        with (disk.path / name).open("wb") as file:
            file.write(b"first")
            file.flush()
            if name != "unsynced":
                os.fsync(file.fileno())
    with (disk.path / "grown").open("ab") as file:
        file.write(b" second")
    disk.cut()
    with pytest.raises(OSError, match="rror"):
        (disk.path / "late").write_bytes(b"x")
    disk.restore()
    assert {path.name: path.read_bytes() for path in disk.path.iterdir() if path.is_file()} in (
        {"synced": b"first", "grown": b"first"},
        {"synced": b"first", "grown": b"first", "unsynced": b""},  # a name may be in the log already, bytes are not
    )


def committed(home: Path, disk: Volume, *options: str) -> int:
    """Rows left of `ROWS` commits, after the power was cut in their midst."""
    server = embedded.postgres(home)
    store = Store(replace(server, argv=(*server.argv, *options)), home.parent / "log")
    store.start()
    url = server.environment["DATABASE_OWNER_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE written (number int)")
        sync(home)
        for number in range(ROWS):
            connection.execute("INSERT INTO written VALUES (%s)", [number])
        disk.cut()
    store.signal(signal.SIGKILL)
    disk.restore()
    store.start()
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            found = connection.execute("SELECT count(*) FROM written").fetchone()
        return int(found[0]) if found else 0
    finally:
        store.signal(signal.SIGKILL)


@pytest.mark.parametrize(("fsync", "all_there"), [("on", True), ("off", False)])
def test_postgresql_that_does_not_sync_loses_what_it_committed(disk: Volume, fsync: str, all_there: bool) -> None:
    home = disk.path / "home"
    home.mkdir()
    assert (committed(home, disk, "-c", f"fsync={fsync}") == ROWS) is all_there
