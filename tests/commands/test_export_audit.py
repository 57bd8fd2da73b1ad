"""``manage.py export_audit``: the file, its manifest and its signature, and an event that says so."""

import base64
import gzip
import hashlib
import json
from datetime import timedelta

import pytest

from audit.models import Event
from audit.operations import Operation
from audit.signing import is_signed
from tests import factories
from tests.commands.run import run
from tests.console.register import NOON, write

pytestmark = pytest.mark.django_db


def test_file_manifest_and_signature(tmp_path):
    for _ in range(3):
        write()
    told = run("export_audit", "--format", "jsonl", "-o", str(tmp_path / "out.jsonl.gz"), "--json")
    content = gzip.decompress((tmp_path / "out.jsonl.gz").read_bytes())
    manifest = (tmp_path / "out.manifest.json").read_bytes()
    read = json.loads(manifest)
    assert json.loads(told.out)["rows"] == read["count"] == content.count(b"\n") == 3
    assert read["sha256"] == hashlib.sha256(content).hexdigest()
    assert read["unsealed"] == 3
    assert is_signed(
        manifest, (tmp_path / "out.manifest.sig").read_text().strip(), base64.b64decode(read["public_key"])
    )
    assert Event.objects.filter(operation=Operation.EXPORT_FINISHED, actor_type="system").count() == 1


@pytest.mark.parametrize("name", ["out.csv", "audit", "x.csv.gz"])
def test_file_is_named_as_it_was_asked(name, tmp_path):
    write(reason="=cmd()", source="ui")
    run("export_audit", "--format", "csv", "-o", str(tmp_path / name))
    raw = (tmp_path / name).read_bytes()
    assert b",'=cmd()," in (gzip.decompress(raw) if name.endswith(".gz") else raw)


def test_range_and_project(tmp_path):
    factories.ProjectFactory(name="mine")
    write(project="mine", at=NOON), write(project="mine", at=NOON + timedelta(hours=2)), write(project="other", at=NOON)
    end = (NOON + timedelta(hours=1)).isoformat()
    run("export_audit", "--format", "jsonl", "--until", end, "--project", "mine", "-o", str(tmp_path / "o.jsonl"))
    assert (tmp_path / "o.jsonl").read_bytes().count(b"\n") == 1


@pytest.mark.parametrize("more", [["--project", "none"], ["--since", "soon"], ["-o", "/proc/none/out.jsonl"]])
def test_what_is_wrong_is_said_in_a_line(more, tmp_path):
    ran = run("export_audit", "--format", "jsonl", "-o", str(tmp_path / "o.jsonl"), *more)
    assert (ran.status, ran.out) == (1, "")
    assert "\n" not in ran.err.strip()
