"""What goes wrong around the sealer loses nothing and seals nothing wrong."""

import itertools
import os
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from audit import sealer
from audit.checkpoints import write_checkpoint
from audit.models import Checkpoint, Event, Seal, SealerLease
from audit.operations import Operation
from audit.record import Target, record
from audit.sealer import SEALER, Deposed, seal_next, take_lease
from audit.verifying import What, verify
from tests.audit.sealers import End, end_lease, ended, fork, sealed, signal_before, tick, tick_with, until_frozen
from tests.audit.seals import event, seal, write
from tests.waiting import until
from workers import sealing

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def checkpoints(tmp_path: Path, settings: Any) -> Path:
    settings.CHECKPOINTS_FILE = tmp_path / "checkpoints.jsonl"
    return settings.CHECKPOINTS_FILE


def write_numbers(writer: str, *numbers: int) -> None:
    """Rows of now."""
    write(*(event(writer, number, at=timezone.now()) for number in numbers))


def assert_clean(rows: int) -> None:
    """All of so many rows are bound, each once, and the register is as it was written."""
    report = verify(timezone.now(), processes=1)
    assert report.failures == []
    assert (report.rows, report.unsealed, sealed()) == (rows, 0, rows)


def test_killed_at_each_step() -> None:
    for step in itertools.count(1):
        write_numbers("w", 2 * step - 1, 2 * step)
        dying = signal_before(signal.SIGKILL, lambda place, _: place == step)  # noqa: B023
        how = ended(fork(lambda: tick_with("first", dying)))  # noqa: B023
        assert verify(timezone.now(), processes=1).failures == []
        end_lease()
        tick("second")
        assert_clean(2 * step)
        end_lease()
        if how == End.WELL:
            break
        assert how == -signal.SIGKILL
    assert step > 10


@pytest.mark.parametrize("half", ["audit_seal", "audit_checkpoint"])
def test_frozen_past_its_lease(half: str) -> None:
    """It wakes when another has sealed, and is refused."""
    write_numbers("w", 1, 2, 3)
    freezing = signal_before(signal.SIGSTOP, lambda _, sql: sql.startswith(f'INSERT INTO "{half}"'))
    child = fork(lambda: tick_with("first", freezing))
    until_frozen(child)
    end_lease()
    write_numbers("w", 4)
    tick("second")
    os.kill(child, signal.SIGCONT)
    expected = {End.DISCONNECTED} if half == "audit_seal" else {End.WELL}
    assert ended(child) in expected
    assert_clean(4)


def test_frozen_between_lease_and_seal() -> None:
    write_numbers("w", 1)

    def late() -> None:
        epoch = take_lease("first")
        assert epoch is not None
        os.kill(os.getpid(), signal.SIGSTOP)
        write_numbers("w", 2)
        seal_next(epoch)

    child = fork(late)
    until_frozen(child)
    end_lease()
    tick("second")
    os.kill(child, signal.SIGCONT)
    assert ended(child) == End.DEPOSED
    assert sealed() == 1
    tick("second")
    assert_clean(2)


def test_two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With leases so short that they take over from each other all the time."""
    monkeypatch.setattr(sealer, "LEASE_SECONDS", 0.01)
    rows = 60

    def seal_on(holder: str) -> None:
        deadline = time.monotonic() + 120
        while sealed() < rows and time.monotonic() < deadline:
            try:
                epoch = take_lease(holder)
                time.sleep(0.005 * (epoch is None))
                if epoch is not None:
                    time.sleep(0.02)  # long enough for the lease to end
                    seal_next(epoch, most=10)
            except Deposed:
                continue

    children = [fork(lambda name=name: seal_on(name)) for name in ("first", "second")]  # type: ignore[misc]
    for number in range(1, rows + 1, 5):
        write_numbers("w", *range(number, number + 5))
    assert [ended(child) for child in children] == [End.WELL] * 2
    assert_clean(rows)
    assert Seal.objects.values("epoch").distinct().count() > 1


@contextmanager
def running(monkeypatch: pytest.MonkeyPatch, *, checkpoints: float = 0) -> Iterator[None]:
    """The sealer of a worker, with a quicker heart."""
    monkeypatch.setattr(sealing, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(sealing, "CHECKPOINT_SECONDS", checkpoints)
    loop = sealing.Loop()
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield
    finally:
        loop.stop()
        thread.join()


def test_postgresql_gone_again_and_again(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def cut() -> int:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = current_user"
                " AND datname = current_database() AND pid <> pg_backend_pid()"
            )
            return int(cursor.fetchone()[0])

    with running(monkeypatch):
        for number in range(1, 31):
            write_numbers("w", number)
            until(cut)
            time.sleep(0.02)
        until(lambda: sealed() == 30)
        until(lambda: Checkpoint.objects.filter(number=Seal.objects.first().number).exists())
        until(lambda: not SealerLease.objects.get().trouble)
    assert "works again" in caplog.text
    assert_clean(30)


def test_fault_of_our_own_is_told_and_outlived(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_numbers("w", 1)
    faults = [KeyError("never thought of")]

    def seal_next_but_first_fail(*args: Any, **kwargs: Any) -> Seal | None:
        if faults:
            raise faults.pop()
        return seal_next(*args, **kwargs)

    monkeypatch.setattr(sealing, "seal_next", seal_next_but_first_fail)
    with running(monkeypatch):
        until(lambda: sealed() == 1)
        until(lambda: not SealerLease.objects.get().trouble)
    assert "Traceback" in caplog.text
    assert "KeyError: 'never thought of'" in caplog.text
    assert "works again" in caplog.text
    assert_clean(1)


def test_full_disk_stops_checkpoints_and_no_seal(
    monkeypatch: pytest.MonkeyPatch, settings: Any, checkpoints: Path
) -> None:
    settings.CHECKPOINTS_FILE = Path("/dev/full")
    write_numbers("w", 1)
    with running(monkeypatch):
        until(lambda: SealerLease.objects.exists() and "No space left" in SealerLease.objects.get().trouble)
        write_numbers("w", 2)
        until(lambda: sealed() == 2)
        assert not Checkpoint.objects.exists()
        settings.CHECKPOINTS_FILE = checkpoints
        until(lambda: not SealerLease.objects.get().trouble)
    assert Checkpoint.objects.first().number == Seal.objects.first().number
    assert_clean(2)


def test_line_that_the_disk_took_half_of(checkpoints: Path) -> None:
    write_numbers("w", 1)
    tick("first")
    write_numbers("w", 2)

    def with_little_room() -> None:
        room = checkpoints.stat().st_size + 25
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        with pytest.raises(OSError, match="not written whole"):
            tick("first")

    assert ended(fork(with_little_room)) == End.WELL
    assert len(checkpoints.read_bytes().splitlines()) == 2
    tick("first")
    assert len(checkpoints.read_bytes().splitlines()) == 3
    assert Checkpoint.objects.count() == 2
    assert_clean(2)


def test_clock_that_steps_back_between_events() -> None:
    """Numbers tell the order of writing, whatever the clock said."""
    now = datetime.now(UTC) - timedelta(minutes=5)
    for number, seconds in enumerate((0, 60, -3600, -3599, 30), start=1):
        write(event("w", number, at=now + timedelta(seconds=seconds)))
        if number == 3:
            seal()
    seal()
    first, last = Seal.objects.order_by("number")
    assert (first.ranges, last.ranges) == ([["w", 1, 3]], [["w", 4, 5]])
    assert first.first_at < last.first_at < last.last_at < first.last_at
    write_checkpoint(timezone.now())
    assert_clean(5)


@pytest.mark.parametrize("sealed_before", [0, 2])
def test_rows_from_a_spool_are_no_alarm_until_they_are_sealed(sealed_before: int) -> None:
    """PostgreSQL was away for long: what is brought back is old, and the verifier may come before the sealer."""
    write_numbers("w", *range(1, sealed_before + 1))
    tick("first")
    old = timezone.now() - timedelta(hours=2)
    write(*(event("w", sealed_before + number, at=old) for number in (1, 2, 3)))
    report = verify(timezone.now(), processes=1)
    assert (report.failures, report.unsealed) == ([], 3)
    tick("first")
    assert_clean(sealed_before + 3)


def test_old_row_that_does_not_follow_is_an_alarm() -> None:
    write_numbers("w", 1)
    tick("first")
    write(event("w", 3, at=timezone.now() - timedelta(hours=2)))
    (found,) = verify(timezone.now(), processes=1).failures
    assert (found.what, found.number) == (What.INSERTED, 3)


MEBIBYTE = 1 << 20


@pytest.mark.parametrize("text", ["x" * MEBIBYTE, "信" * (MEBIBYTE // 3), " ".join(map(str, range(160_000)))])
def test_mebibyte_of_text(text: str) -> None:
    """One word, and very many: what is searched by words must take both."""
    now = timezone.now()
    write(event("w", 1, reason=text, at=now), event("w", 2, ticket=text, at=now))
    record(
        Operation.PROJECT_CHANGED, actor=SEALER, target=Target("project", "1", "one"), reason=text, detail={"t": text}
    )
    tick("first")
    assert_clean(3)
    assert Event.objects.filter(reason=text).count() == 2
