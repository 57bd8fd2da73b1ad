"""What stands beside an export: a manifest with what proves its rows, and a signature over the manifest.

The format stands in docs/register.md. Rows that no signed checkpoint covers yet are counted as unsealed.
"""

import base64
import mmap
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from msgspec.json import encode

from audit.export_files import Digests, Files
from audit.export_proofs import Proofs, Still, numbers_of
from audit.finding import Selection
from audit.signing import signer

FORMAT = "signalbox-export/1"
BREATH = 5.0
"""seconds"""


class Attested(NamedTuple):
    """What was signed: the file's SHA-256, and how many rows nothing proves yet."""

    sha256: str
    unsealed: int


def attest(files: Files, selection: Selection, count: int, *, still: Still = lambda: None) -> Attested:
    """Write the manifest and its signature beside a whole export.

    `still` is called again and again, since it may take minutes; what it raises ends it.
    """
    with ThreadPoolExecutor(1) as thread:  # reading and hashing need no interpreter
        later = thread.submit(files.digests)
        proofs = Proofs(numbers_of(files), selection, still)
        _write(files.manifest, _fields(files, selection, count, proofs, partial(_awaited, later, still)))
    _sign(files)
    return Attested(later.result().file, count - proofs.sealed)


def _fields(
    files: Files, selection: Selection, count: int, proofs: Proofs, digests: Callable[[], Digests]
) -> Iterator[tuple[str, Any]]:
    """In the order in which they become known; an iterator for a list."""
    plain, key = selection.plain(), signer()
    yield from {
        "format": FORMAT, "file": files.content.name, "filter": plain,
        "range": {end: plain.get(end) for end in ("since", "until")}, "key": key.fingerprint,
        "public_key": base64.b64encode(key.public).decode(), "bodies": None, "count": count, "seals": proofs.seals(),
    }.items()  # fmt: skip
    yield from {"checkpoints": proofs.checkpoints(), "unsealed": count - proofs.sealed}.items()
    found = digests()
    yield from {"sha256_file": found.file, "sha256": found.content, "sha256_leaves": found.leaves}.items()


def _awaited(digests: Future[Digests], still: Still) -> Digests:
    while wait((digests,), BREATH).not_done:
        still()
    return digests.result()


def _write(path: Path, fields: Iterable[tuple[str, Any]]) -> None:
    """As JSON. An iterator becomes a list with one element a line, and is never in memory as a whole."""
    with path.open("wb") as file:
        before = b"{\n "
        for name, value in fields:
            file.write(before + encode(name) + b": ")
            if isinstance(value, Iterator):
                _write_list(file, value)
            else:
                file.write(encode(value))
            before = b",\n "
        file.write(b"\n}\n")
        _settle(file)


def _write_list(file: BinaryIO, elements: Iterator[Any]) -> None:
    before = b"["
    for one in elements:
        file.write(before + b"\n  " + encode(one))
        before = b","
    file.write(b"\n ]" if before == b"," else b"[]")


def _sign(files: Files) -> None:
    """The manifest may be long: the key reads it where the disk's cache has it."""
    with (
        files.manifest.open("rb") as manifest,
        mmap.mmap(manifest.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        memoryview(mapped) as content,
    ):
        signature = signer().sign(content)
    with files.signature.open("wb") as file:
        file.write(signature.encode() + b"\n")
        _settle(file)


def _settle(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
