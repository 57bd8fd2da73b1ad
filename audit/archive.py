"""The export of a month as it lies in the archive: looked at with the key and the digests, before its rows may go."""

import json
import os
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any

from audit.export_files import Files
from audit.retention import Refusal
from audit.signing import is_signed, signer

Places = list[list[int]]


@dataclass(frozen=True, slots=True)
class Archived:
    """What the signed manifest says."""

    rows: int
    sha256: str
    whole: Places
    """``[[first, last], …]``: seals all of whose rows are in it"""
    parts: list[list[Any]]
    """``[[seal, places], …]``: seals that it has some rows of"""

    @property
    def ends(self) -> tuple[int | None, int | None]:
        """Its first and its last seal."""
        numbers = [number for span in self.whole for number in span] + [number for number, _ in self.parts]
        return min(numbers, default=None), max(numbers, default=None)


def inspect(files: Files, sha256: str) -> Archived | Refusal:
    """Read the export anew: every file is there and as it was signed, and every row of it is proven."""
    try:
        manifest = files.manifest.read_bytes()
        signature = files.signature.read_text().strip()
        digests = {
            name: _digest(path) for name, path in (("sha256_file", files.content), ("sha256_leaves", files.leaves))
        }
    except OSError:
        return Refusal.EXPORT_MISSING
    if not is_signed(manifest, signature, signer().public):
        return Refusal.EXPORT_ALTERED
    told = json.loads(manifest)
    if digests["sha256_file"] != sha256 or any(told[name] != digest for name, digest in digests.items()):
        return Refusal.EXPORT_ALTERED
    if told["unsealed"]:
        return Refusal.EXPORT_UNPROVEN
    return Archived(told["count"], sha256, *_seals(told["seals"]))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _seals(seals: list[dict[str, Any]]) -> tuple[Places, list[list[Any]]]:
    whole: Places = []
    parts: list[list[Any]] = []
    for seal in seals:
        if "leaves" not in seal:  # a bridge
            continue
        number, places = seal["number"], seal["leaves"]
        if sum(last - first + 1 for first, last in places) != seal["count"]:
            parts.append([number, places])
        elif whole and whole[-1][1] + 1 == number:
            whole[-1][1] = number
        else:
            whole.append([number, number])
    return whole, parts


def make_durable(files: Files) -> None:
    """A power cut after the drop must not take the archive. Raises OSError."""
    for path in (*files.shown().values(), files.directory):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
