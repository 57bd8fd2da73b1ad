"""Exports are written in parts by whoever holds the lease; whatever breaks them off, they end in the same bytes."""

import errno
import gzip
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from audit import export_files
from audit.export_files import Busy, Files
from audit.exporting import Format, rows_behind
from audit.models import Event
from audit.operations import Operation
from controlplane.lifecycle import ExportState
from controlplane.models import Export
from controlplane.roles import Role
from tests import factories
from tests.conftest import member
from tests.console.register import NOON, write
from workers import exports
from workers.exports import Trouble, claim, delete_old, files_of, write_next

pytestmark = pytest.mark.django_db
ROWS = 23


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, settings: Any) -> Path:
    settings.EXPORTS_DIR = tmp_path / "exports"
    return settings.EXPORTS_DIR


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "rows_behind", lambda selection, after, **_: _five(selection, after))


def _five(selection: Any, after: Any) -> list[bytes]:
    return rows_behind(selection, after, 5)


def rows(count: int = ROWS, **fields: Any) -> None:
    for number in range(count):
        write(at=NOON + timedelta(seconds=number // 3), **fields)


def ordered(**fields: Any) -> Export:
    chosen = {"until": (NOON + timedelta(days=1)).isoformat(), "since": NOON.isoformat()}
    return factories.ExportFactory(selection=chosen, **fields)


def content(export: Export) -> bytes:
    return gzip.decompress(files_of(export).content.read_bytes())


def again(export: Export) -> Export:
    export.refresh_from_db()
    return export


def whole() -> bytes:
    """What an export in one go holds, compressed."""
    one = ordered()
    write_next()
    return files_of(one).content.read_bytes()


@pytest.mark.parametrize("form", [it.value for it in Format])
def test_written_and_told(form: str, events: Any) -> None:
    rows()
    export = ordered(format=form)
    assert write_next()
    export = again(export)
    assert (export.state, export.rows, export.progress, export.problem) == (ExportState.DONE, ROWS, 100, "")
    assert content(export).count(b"\n") == ROWS + (form == "csv")  # and its heading
    assert files_of(export).leaves.stat().st_size == 32 * ROWS
    assert export.expires_at > timezone.now()
    assert Event.objects.filter(operation=Operation.EXPORT_FINISHED).count() == 1


def test_one_of_a_project_holds_no_other_s_rows() -> None:
    mine = factories.ProjectFactory(name="mine")
    rows(5, project="mine"), rows(5, project="other"), rows(5, project="")
    export = ordered(project=mine)  # its filter has been forgotten: the database's wall holds
    write_next()
    assert content(again(export)).count(b'"project":"mine"') == again(export).rows == 5


def test_nothing_to_export_is_an_export() -> None:
    export = ordered(format="csv", bom=True)
    write_next()
    assert again(export).state == ExportState.DONE
    assert content(export).decode("utf-8-sig").startswith("id,kind")


class Killed(BaseException):
    """A worker's end."""


@pytest.mark.parametrize("writes", [1, 3, 4, 5, 9, 14])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_broken_off_at_any_byte_it_ends_in_the_same_bytes(
    writes: int, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows()
    expected, export, done = whole(), ordered(), []

    def dying(handle: int, block: Any) -> None:
        done.append(1)
        if len(done) == writes:
            export_files.os.write(handle, block[: int(len(block) * share)])
            raise Killed
        export_files.os.write(handle, block)

    with monkeypatch.context() as patched:
        patched.setattr(export_files, "_write_all", dying)
        with pytest.raises(Killed):
            write_next()
    Export.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    write_next()
    assert files_of(export).content.read_bytes() == expected
    assert again(export).rows == ROWS


def test_garbage_behind_the_last_part_is_cut_off(directory: Path) -> None:
    rows()
    expected, export = whole(), ordered()
    write_next(turn_seconds=0.0)
    with files_of(export).content.open("ab") as file:
        file.write(b"half a part")
    write_next()
    assert files_of(export).content.read_bytes() == expected


def test_a_turn_ends_and_another_worker_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    rows()
    expected, export = whole(), ordered()
    clock = iter(range(1000))
    monkeypatch.setattr(exports.time, "monotonic", lambda: next(clock))
    turns = 0
    while again(export).state != ExportState.DONE:
        write_next(turn_seconds=2)  # a reading of the clock is a second: one part a turn
        turns += 1
    assert turns >= ROWS // 5
    assert files_of(export).content.read_bytes() == expected


def test_leased_one_is_left_alone_until_the_lease_is_over() -> None:
    ordered()
    now = timezone.now()
    first = claim(now)
    assert first
    assert claim(now) is None
    second = claim(now + exports.LEASE + timedelta(seconds=1))
    assert second
    assert second.epoch == first.epoch + 1


def test_one_export_at_a_time() -> None:
    ordered(), ordered()
    assert claim(timezone.now())
    assert claim(timezone.now()) is None


def test_late_worker_is_not_heard() -> None:
    rows()
    ordered()
    late = claim(timezone.now())
    assert late
    Export.objects.update(epoch=late.epoch + 1)
    with pytest.raises(exports.LostLease):
        exports._tell(late, rows=1)


def test_two_at_one_file_are_kept_apart(directory: Path) -> None:
    files = Files(directory, "x", Format.JSONL)
    with files.opened(export_files.Sizes()), pytest.raises(Busy), files.opened(export_files.Sizes()):
        pass


def test_cancelled_while_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    rows()
    export = ordered()
    write_next(turn_seconds=0.0)
    Export.objects.update(state=ExportState.CANCELLED)
    write_next()
    assert delete_old(timezone.now()) == 1
    assert again(export).state == ExportState.EXPIRED
    assert not files_of(export).content.exists()


def test_lease_is_kept_until_it_is_cancelled() -> None:
    rows()
    export = ordered()
    taken = exports.claim(timezone.now())
    assert taken is not None
    Export.objects.update(lease_until=timezone.now())
    keeping = exports._Keeping(taken)
    keeping()
    assert again(export).lease_until > timezone.now() + timedelta(seconds=30)
    Export.objects.update(state=ExportState.CANCELLED)
    keeping()  # told a moment ago
    with pytest.raises(exports.LostLease):
        exports._Keeping(taken)()
    assert again(export).state == ExportState.CANCELLED


def test_cancelled_while_it_is_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    def attest(*_: Any, still: Any) -> None:
        Export.objects.update(state=ExportState.CANCELLED)
        still()
        pytest.fail("nobody wants it any more")

    rows()
    export = ordered()
    monkeypatch.setattr(exports, "attest", attest)
    write_next()
    assert again(export).state == ExportState.CANCELLED


def waits_alone_and_is_done_later(export: Export, trouble: Trouble) -> None:
    assert (again(export).state, export.problem) == (ExportState.RUNNING, trouble)
    other = ordered()
    write_next()
    assert again(other).state == ExportState.DONE, "the one in trouble keeps nobody from it"
    Export.objects.filter(pk=export.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    write_next()
    assert (again(export).state, export.problem) == (ExportState.DONE, "")


def test_full_disk_is_told_and_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    rows()
    expected, export = whole(), ordered()

    def full(handle: int, block: Any) -> None:
        export_files.os.write(handle, block[: len(block) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(export_files, "_write_all", full)
        write_next()
    waits_alone_and_is_done_later(export, Trouble.DISK_FULL)
    assert files_of(export).content.read_bytes() == expected


def test_what_nobody_foresaw_is_told_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    rows()
    export = ordered()
    with monkeypatch.context() as patched:
        patched.setattr(exports, "attest", lambda *_, **__: 1 / 0)
        write_next()
    waits_alone_and_is_done_later(export, Trouble.UNEXPECTED)


def test_part_that_is_gone_ends_it(directory: Path) -> None:
    rows()
    export = ordered()
    write_next(turn_seconds=0.0)
    files_of(export).content.unlink()
    write_next()
    assert (again(export).state, export.problem) == (ExportState.FAILED, Trouble.FILE_GONE)


def test_right_taken_away_ends_it() -> None:
    auditor = member("otto", Role.VIEWER)
    export = ordered(requester_type="user", requester_id=str(auditor.pk))
    write_next()
    assert (again(export).state, export.problem) == (ExportState.FAILED, Trouble.RIGHT_TAKEN_AWAY)


def test_old_files_are_deleted() -> None:
    rows()
    export = ordered()
    write_next()
    assert delete_old(timezone.now()) == 0
    assert delete_old(again(export).expires_at) == 1
    assert list(files_of(export).directory.iterdir()) == []
