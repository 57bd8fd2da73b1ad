"""Exports as workers write them are verified by the program that needs no Signalbox; what was changed is found."""

import base64
import gzip
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from audit.checkpoints import write_checkpoint
from audit.models import Checkpoint
from audit.signing import signer
from controlplane.lifecycle import ExportState
from controlplane.models import Export
from tests import factories
from tests.audit.seals import seal, write_numbers
from tests.commands.run import run as command
from workers import exports
from workers.exports import LONGEST_WAIT, SEALER_AWAY, Trouble, files_of, wait_for_seals, write_next

pytestmark = pytest.mark.django_db
SCRIPT = Path(__file__).parents[2] / "audit" / "standalone" / "verify_audit.py"


@pytest.fixture(autouse=True)
def sealed(tmp_path: Path, settings: Any) -> None:
    """Five seals of two writers, the third and the fifth signed; then two rows that no seal binds."""
    settings.CHECKPOINTS_FILE, settings.EXPORTS_DIR = tmp_path / "checkpoints", tmp_path / "exports"
    for turn in range(5):
        for writer in ("w", 'odd"\\名'):
            write_numbers(writer, *range(turn * 4 + 1, turn * 4 + 5))
        seal()
        if turn in {2, 4}:
            write_checkpoint(timezone.now())
    write_numbers("w", 21, 22)


def verified(manifest: Path) -> tuple[int, str]:
    key = base64.b64encode(signer().public).decode()
    done = subprocess.run(
        [sys.executable, SCRIPT, manifest, "--key", key], capture_output=True, text=True, check=False, cwd="/"
    )
    return done.returncode, (done.stdout + done.stderr).strip()


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


def test_few_rows_of_each_seal() -> None:
    export = written(selection={"until": timezone.now().isoformat(), "request_id": "nobody's"})
    assert verified(files_of(export).manifest)[0] == 0
    assert export.rows == 0


def test_command_writes_what_is_verified(tmp_path: Path) -> None:
    for name in ("it.jsonl", "it.jsonl.gz"):
        assert command("export_audit", "--format", "jsonl", "-o", str(tmp_path / name)).status == 0
        assert verified(tmp_path / "it.manifest.json")[0] == 0


def test_changed_line_is_found() -> None:
    files = files_of(written())
    lines = gzip.decompress(files.content.read_bytes()).splitlines(keepends=True)
    lines[7] = lines[7].replace(b"10.0.0.1", b"10.0.0.2")
    files.content.write_bytes(gzip.compress(b"".join(lines)))
    status, told = verified(files.manifest)
    assert status == 1
    assert "8" in told


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
