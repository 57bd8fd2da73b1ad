"""The verifier that needs no Signalbox: an export is whole, or it says which line is not."""

import base64
import gzip
import json
import sys
from collections import defaultdict
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from pyroaring import BitMap64

from audit.export_proofs import Proofs
from audit.finding import Selection
from audit.merkle import leaf
from audit.reading import content, rows
from audit.signing import signer
from tests.audit.seals import five_seals
from tests.audit.verifier import SCRIPT, verified

pytestmark = pytest.mark.django_db


def export(directory: Path, condition: str = "") -> Path:
    """As docs/register.md has it."""
    with transaction.atomic():
        lines = [content(row) for row in rows(f"{condition} ORDER BY at, writer", [])]
    leaves = b"".join(map(leaf, lines))
    numbers: dict[str, BitMap64] = defaultdict(BitMap64)
    for line in map(json.loads, lines):
        numbers[line["writer"]].add(line["writer_seq"])
    proofs = Proofs(numbers, Selection())
    seals, checkpoints = list(proofs.seals()), list(proofs.checkpoints())
    plain = b"".join(line + b"\n" for line in lines)
    packed = gzip.compress(plain)
    manifest = {
        "format": "signalbox-export/1", "file": "it.jsonl.gz", "sha256": sha256(plain).hexdigest(),
        "sha256_file": sha256(packed).hexdigest(), "sha256_leaves": sha256(leaves).hexdigest(),
        "filter": {}, "range": None, "count": len(lines), "unsealed": len(lines) - proofs.sealed, "seals": seals,
        "checkpoints": checkpoints, "key": signer().fingerprint,
        "public_key": base64.b64encode(signer().public).decode(), "bodies": None,
    }  # fmt: skip
    (directory / "it.jsonl.gz").write_bytes(packed)
    (directory / "it.leaves").write_bytes(leaves)
    return sign(directory, manifest)


def sign(directory: Path, manifest: dict[str, Any]) -> Path:
    raw = json.dumps(manifest).encode()
    (directory / "it.manifest.sig").write_text(signer().sign(raw))
    (directory / "it.manifest.json").write_bytes(raw)
    return directory / "it.manifest.json"


@pytest.fixture
def sealed(tmp_path: Path, settings: Any) -> None:
    settings.CHECKPOINTS_FILE = tmp_path / "checkpoints"
    five_seals()


@pytest.mark.usefixtures("sealed")
@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ("", "42 rows are as they were written; 2 of them are not sealed yet"),
        ("WHERE completion_tokens BETWEEN 6 AND 7", "4 rows are as they were written; 0 of them"),
        ("WHERE writer = 'w' AND completion_tokens IN (1, 20)", "2 rows are as they were written; 0 of them"),
        ("WHERE project = 'nobody'", "0 rows are as they were written; 0 of them"),
    ],
)
def test_whole_export(tmp_path: Path, condition: str, told: str) -> None:
    status, words = verified(export(tmp_path, condition))
    assert words.startswith(told)
    assert status == 0


def _lines(directory: Path, change: Callable[[list[bytes]], None]) -> None:
    """Change the content, and sign it as if nothing had happened: only the leaf hashes are as they were."""
    lines = gzip.decompress((directory / "it.jsonl.gz").read_bytes()).splitlines(keepends=True)
    change(lines)
    (directory / "it.jsonl.gz").write_bytes(gzip.compress(b"".join(lines)))


def changed(lines: list[bytes]) -> None:
    lines[7] = lines[7].replace(b"10.0.0.1", b"10.0.0.2")


def swapped(lines: list[bytes]) -> None:
    lines[3], lines[9] = lines[9], lines[3]


@pytest.mark.usefixtures("sealed")
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (changed, "line 8 (writer "),
        (lambda lines: lines.pop(11), "line 12: a row before writer "),
        (lambda lines: lines.insert(5, lines[0].replace(b"ok", b"no")), "line 6 (writer "),
        (swapped, "line 4 (writer "),
        (lambda lines: lines.pop(), "line 42: cut off; 1 rows are missing"),
    ],
)
def test_altered_content(tmp_path: Path, change: Callable[[list[bytes]], None], told: str) -> None:
    manifest = export(tmp_path)
    _lines(tmp_path, change)
    status, words = verified(manifest)
    assert words.startswith(told)
    assert status == 1


@pytest.mark.usefixtures("sealed")
@pytest.mark.parametrize("name", ["it.jsonl.gz", "it.leaves", "it.manifest.json", "it.manifest.sig"])
@pytest.mark.parametrize("at", [0.2, 0.5, 0.999])
def test_any_flipped_byte_and_any_cut(tmp_path: Path, name: str, at: float) -> None:
    manifest = export(tmp_path)
    whole = (tmp_path / name).read_bytes()
    place = int(len(whole) * at)
    (tmp_path / name).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    assert verified(manifest)[0] == 1
    (tmp_path / name).write_bytes(whole[:place])
    assert verified(manifest)[0] == 1


def _rooted(seals: list[dict[str, Any]]) -> None:
    seals[1]["root"] = "00" * 32


def _proof(seals: list[dict[str, Any]]) -> None:
    seals[0]["proof"][0] = "00" * 32


def _unchained(seals: list[dict[str, Any]]) -> None:
    seals.pop(1)


@pytest.mark.usefixtures("sealed")
@pytest.mark.parametrize("change", [_rooted, _proof, _unchained])
def test_signer_cannot_make_up_seals(tmp_path: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Who holds the key of exports still needs seals that lead to a checkpoint."""
    manifest = json.loads(export(tmp_path, "WHERE completion_tokens > 1").read_bytes())
    change(manifest["seals"])
    status, words = verified(sign(tmp_path, manifest))
    assert status == 1
    assert words.startswith("seal ") or "bound by no seal" in words


def test_needs_nothing_but_cryptography_and_fits_two_hundred_lines() -> None:
    text = SCRIPT.read_text()
    assert len(text.splitlines()) <= 200
    known = set(sys.stdlib_module_names) | {"cryptography"}
    imported = {
        line.split()[1].partition(".")[0] for line in text.splitlines() if line.startswith(("import ", "from "))
    }
    assert imported <= known
