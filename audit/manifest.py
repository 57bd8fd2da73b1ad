"""What proves an export: a manifest beside it with the seals that bind its rows, and a signature over the manifest.

The format stands in docs/register.md. Rows that no signed checkpoint covers yet are counted as unsealed.
"""

import base64
import gzip
import json
import re
from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from django.db.models import QuerySet

from audit.export_files import Files
from audit.finding import Selection
from audit.merkle import prove
from audit.models import Checkpoint, Seal
from audit.seals import link
from audit.signing import signer
from audit.verifying import fields_of

FORMAT = "signalbox-export/1"
HASH_BYTES = 32
Numbers = Mapping[str, "array[int]"]
"""writer -> its numbers in an export, ascending"""


class Attested(NamedTuple):
    """What was signed: the file's SHA-256, and how many rows nothing proves yet."""

    sha256: str
    unsealed: int


class Proofs(NamedTuple):
    """`sealed` counts the rows that they prove."""

    seals: list[dict[str, Any]]
    checkpoints: list[dict[str, Any]]
    sealed: int


def attest(files: Files, selection: Selection, count: int) -> Attested:
    """Write the manifest and its signature beside a whole export."""
    key, plain = signer(), selection.plain()
    with ThreadPoolExecutor(1) as thread:  # reading and hashing need no interpreter
        later = thread.submit(files.digests)
        found = proofs(numbers_of(files), _within(selection))
        digests = later.result()
    manifest = {
        "format": FORMAT, "file": files.content.name, "sha256_file": digests.file, "sha256": digests.content,
        "sha256_leaves": digests.leaves, "filter": plain, "range": {end: plain.get(end) for end in ("since", "until")},
        "count": count, "unsealed": count - found.sealed, "seals": found.seals, "checkpoints": found.checkpoints,
        "key": key.fingerprint, "public_key": base64.b64encode(key.public).decode(), "bodies": None,
    }  # fmt: skip
    content = json.dumps(manifest, ensure_ascii=False, indent=1).encode() + b"\n"
    files.manifest.write_bytes(content)
    files.signature.write_text(key.sign(content) + "\n")
    return Attested(digests.file, count - found.sealed)


def numbers_of(files: Files) -> Numbers:
    """Which rows are in the export: eight bytes in memory for each."""
    found: dict[str, array[int]] = defaultdict(lambda: array("q"))
    if files.numbers.stat().st_size:
        with gzip.open(files.numbers, "rt", encoding="utf-8", newline="\n") as lines:
            for one in lines:
                writer, _, number = one.rstrip("\n").rpartition("\t")
                found[writer].append(int(number))
    return {_ESCAPED.sub(_unescaped, writer): array("q", sorted(numbers)) for writer, numbers in found.items()}


_ESCAPED = re.compile(r"\\(.)")
_CONTROLS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def _unescaped(found: re.Match[str]) -> str:
    """As COPY wrote it."""
    return _CONTROLS.get(found[1], found[1])


def _within(selection: Selection) -> QuerySet[Seal]:
    """Seals that may bind rows of the selection."""
    seals = Seal.objects.all()
    if selection.since:
        seals = seals.filter(last_at__gte=selection.since)
    return seals.filter(first_at__lt=selection.until) if selection.until else seals


def proofs(numbers: Numbers, seals: QuerySet[Seal]) -> Proofs:
    """Full seals of the rows, what leads from each to the next checkpoint, and those checkpoints."""
    lines = [json.loads(line) for line in Checkpoint.objects.order_by("number").values_list("line", flat=True)]
    if not lines:
        return Proofs([], [], 0)
    ends = [line["number"] for line in lines]
    full: dict[int, dict[str, Any]] = {}
    sealed = 0
    for seal in seals.filter(number__lte=ends[-1]).order_by("number").iterator(chunk_size=50):
        if places := places_in(seal.ranges, numbers):
            full[seal.number] = _full(seal, places)
            sealed += len(places)
    led = {number: ends[bisect_left(ends, number)] for number in full}
    bridges = {number: _bridge(number, linked) for number, linked in _links(_between(led), full)}
    whole = {**full, **bridges}
    return Proofs(
        [whole[number] for number in sorted(whole)], [it for it in lines if it["number"] in led.values()], sealed
    )


def places_in(ranges: Iterable[Sequence[Any]], numbers: Numbers) -> list[int]:
    """Which leaves of a seal are in the export, ascending."""
    places: list[int] = []
    begin = 0
    for writer, first, last in ranges:
        mine = numbers.get(writer, ())
        held = mine[bisect_left(mine, first) : bisect_right(mine, last)]
        places += [begin + number - first for number in held]
        begin += last - first + 1
    return places


def _full(seal: Seal, places: list[int]) -> dict[str, Any]:
    leaves = bytes(seal.leaves)
    proof: list[bytes] = []
    if len(places) < seal.count:  # of all leaves there is nothing to prove with
        hashes = [leaves[place : place + HASH_BYTES] for place in range(0, len(leaves), HASH_BYTES)]
        proof = prove(hashes, places)
    ends = {"prev": bytes(seal.prev).hex(), "hash": bytes(seal.hash).hex()}
    return fields_of(seal) | ends | {"leaves": gathered(places), "proof": [it.hex() for it in proof]}


def gathered(places: Iterable[int]) -> list[list[int]]:
    """``[[first, last], …]``."""
    found: list[list[int]] = []
    for place in places:
        if found and found[-1][1] + 1 == place:
            found[-1][1] = place
        else:
            found.append([place, place])
    return found


def _between(led: dict[int, int]) -> list[list[int]]:
    """Runs of numbers from seals to their checkpoints."""
    return gathered(sorted({number for first, last in led.items() for number in range(first, last + 1)}))


def _links(wanted: list[list[int]], full: dict[int, Any]) -> Iterator[tuple[int, str]]:
    for first, last in wanted:
        for seal in Seal.objects.filter(number__range=(first, last)).defer("leaves").order_by("number").iterator():
            if seal.number not in full:
                yield seal.number, link(fields_of(seal)).hex()


def _bridge(number: int, linked: str) -> dict[str, Any]:
    return {"number": number, "link": linked}
