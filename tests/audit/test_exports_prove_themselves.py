"""Exports as workers write them are verified by the program that needs no Signalbox; what was changed is found."""

import gzip
import itertools
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from audit import export_proofs, manifest
from audit.checkpoints import write_checkpoint
from audit.export_files import Digests, Files
from audit.export_proofs import Proofs
from audit.finding import Selection
from audit.models import Checkpoint
from controlplane.lifecycle import ExportState
from controlplane.models import Export
from tests import factories
from tests.audit.seals import five_seals, seal
from tests.audit.verifier import verified
from tests.commands.run import run as command
from workers import exports
from workers.exports import LONGEST_WAIT, SEALER_AWAY, Trouble, files_of, wait_for_seals, write_next

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def sealed(tmp_path: Path, settings: Any) -> None:
    settings.CHECKPOINTS_FILE, settings.EXPORTS_DIR = tmp_path / "checkpoints", tmp_path / "exports"
    five_seals()


def written(**fields: Any) -> Export:
    export = factories.ExportFactory(**fields)
    Export.objects.filter(pk=export.pk).update(created_at=timezone.now() - LONGEST_WAIT * 2)
    write_next()
    export.refresh_from_db()
    assert export.state == ExportState.DONE, export.problem
    return export


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_whole_register(form: str) -> None:
    export = written(format=form)
    assert verified(files_of(export).manifest) == (
        0, "42 rows are as they were written; 2 of them are not sealed yet",
    )  # fmt: skip
    assert (export.rows, export.unsealed) == (42, 2)


@pytest.mark.parametrize(("request_id", "count"), [("w-7", 1), ("nobody's", 0)])
def test_few_rows(request_id: str, count: int) -> None:
    export = written(selection={"until": timezone.now().isoformat(), "request_id": request_id})
    status, told = verified(files_of(export).manifest)
    assert (status, export.rows) == (0, count)
    assert told.startswith(f"{count} rows are as they were written")


def test_command_writes_what_is_verified(tmp_path: Path) -> None:
    for name in ("it.jsonl", "it.jsonl.gz"):
        assert command("export_audit", "--format", "jsonl", "-o", str(tmp_path / name)).status == 0
        assert verified(tmp_path / "it.manifest.json")[0] == 0


def test_who_attests_is_asked_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    files, asked = files_of(written()), threading.Event()

    def slow(_: Files) -> Digests:
        assert asked.wait(30)
        return Digests("", "", "")

    monkeypatch.setattr(manifest, "BREATH", 0.01)
    with monkeypatch.context() as patched:
        patched.setattr(Proofs, "seals", lambda _: iter(()))
        patched.setattr(Files, "digests", slow)
        manifest.attest(files, Selection(), 42, still=asked.set)  # while it waits for what is read
    monkeypatch.setattr(export_proofs, "SEALS_AT_ONCE", 1)
    times = itertools.count()
    manifest.attest(files, Selection(), 42, still=lambda: next(times))
    assert next(times) >= 5, "at each seal"


def test_changed_line_is_found() -> None:
    files = files_of(written())
    lines = gzip.decompress(files.content.read_bytes()).splitlines(keepends=True)
    lines[7] = lines[7].replace(b"10.0.0.1", b"10.0.0.2")
    files.content.write_bytes(gzip.compress(b"".join(lines)))
    status, told = verified(files.manifest)
    assert status == 1
    assert told.startswith("line 8 (writer ")


def test_waits_a_moment_for_the_last_rows_to_be_sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    export = factories.ExportFactory(selection={"until": (timezone.now() + timedelta(seconds=30)).isoformat()})
    write_next()
    export.refresh_from_db()
    assert (export.state, export.problem, export.rows) == (ExportState.RUNNING, Trouble.WAITING_FOR_SEALS, 42)
    Export.objects.update(lease_until=None)
    monkeypatch.setattr(exports, "LONGEST_WAIT", timedelta(0))
    write_next()
    export.refresh_from_db()
    assert (export.state, export.problem) == (ExportState.DONE, "")


def test_nobody_waits_for_a_checkpoint_that_has_nothing_to_sign() -> None:
    signed_at = Checkpoint.objects.first().signed_at
    ordered, settled = signed_at - timedelta(seconds=1), signed_at + timedelta(seconds=4)
    assert wait_for_seals(None, ordered, settled), "two rows are not sealed"
    seal()
    assert wait_for_seals(None, ordered, settled), "their seal is not signed"
    write_checkpoint(signed_at)
    assert not wait_for_seals(None, ordered, settled)
    assert wait_for_seals(None, ordered, settled - timedelta(microseconds=1)), "rows of then may still come"


def test_nobody_waits_where_nothing_is_sealed() -> None:
    later = timezone.now() + SEALER_AWAY * 2
    assert not wait_for_seals(later, later, later)
