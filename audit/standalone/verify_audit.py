#!/usr/bin/env python3
"""Verifies an export of Signalbox's register without Signalbox and without a database.

    verify_audit.py NAME.manifest.json [--key PUBLIC_KEY_BASE64] [--checkpoints register.jsonl]

Needs Python 3.11 and `cryptography`. Without --key the export is only checked against the key that it brings along.
The formats stand in Signalbox's docs/register.md. Ends with 0 when all is as it was, else with 1 and what is wrong.
"""

import argparse
import base64
import gzip
import hashlib
import json
import re
import sys
import zlib
from bisect import bisect_right
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

sha256 = hashlib.sha256
NUMBERED = re.compile(rb'"writer":"((?:[^"\\]|\\.)*)","writer_seq":(\d+)').search
SEAL = ("number", "epoch", "sealed_at", "ranges", "gaps", "count", "total", "first_at", "last_at", "root")


class Wrong(Exception): ...


def plain(value):  # JSON as it is hashed and signed
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def check(holds, what):
    if not holds:
        raise Wrong(what)


def check_signed(key, signature, content, what):
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(base64.b64decode(signature), content)
    except (InvalidSignature, ValueError):
        raise Wrong(f"{what}: the signature is not good") from None


def proven_root(size, proven, proof):
    places, others = sorted(proven), iter(proof)

    def of(first, size):
        begin = bisect_right(places, first - 1)
        if begin == len(places) or places[begin] >= first + size:
            return next(others)
        if size == 1:
            return proven[first]
        left = 1 << ((size - 1).bit_length() - 1)
        return sha256(b"\x01" + of(first, left) + of(first + left, size - left)).digest()

    try:
        root = of(0, size)
    except StopIteration:
        raise Wrong("its proof has too few hashes") from None
    check(next(others, None) is None, "its proof has too many hashes")
    return root


class Index:  # where the rows of writers stand among the leaves of seals
    def __init__(self, seals):
        self.spans = {}
        for seal in seals:
            before = 0
            for writer, first, last in seal["ranges"]:
                self.spans.setdefault(writer, []).append((first, last, seal["number"], before))
                before += last - first + 1
        for spans in self.spans.values():
            spans.sort()
        self.starts = {writer: [span[0] for span in spans] for writer, spans in self.spans.items()}

    def find(self, writer, number):
        at = bisect_right(self.starts.get(writer, ()), number) - 1
        if at < 0 or number > self.spans[writer][at][1]:
            return None
        first, _, seal, before = self.spans[writer][at]
        return seal, before + number - first


def name_of(line):
    found = NUMBERED(line)
    return (json.loads(b'"' + found[1] + b'"'), int(found[2])) if found else ("?", 0)


def told(at, line, after, leaves):
    hashes = [leaves[i : i + 32] for i in range(0, len(leaves), 32)]
    mine, behind = (sha256(b"\x00" + each.rstrip(b"\n")).digest() for each in (line, after))
    words = "line {} (writer {}, number {})".format(at + 1, *name_of(line))
    if not line.endswith(b"\n"):
        return f"line {at + 1}: cut off; {len(hashes) - at} rows are missing from here on"
    if at >= len(hashes) or (after and behind == hashes[at]):
        return f"{words}: inserted"
    if mine == hashes[min(at + 1, len(hashes) - 1)] and behind != hashes[at]:
        return f"line {at + 1}: a row before writer {{}}, number {{}} is missing".format(*name_of(line))
    return f"{words}: swapped, it belongs at line {hashes.index(mine) + 1}" if mine in hashes else f"{words}: changed"


def check_lines(file, leaves, index):
    bound, whole, at = {}, sha256(), -1
    for at, line in enumerate(file):
        whole.update(line)
        leaf = sha256(b"\x00" + line[:-1]).digest()
        if leaf != leaves[at * 32 : at * 32 + 32] or line[-1:] != b"\n":
            raise Wrong(told(at, line, next(file, b""), leaves))
        found = NUMBERED(line)
        writer = found[1].decode() if b"\\" not in found[1] else name_of(line)[0]
        place = index.find(writer, int(found[2]))
        if place is not None:
            bound.setdefault(place[0], {})[place[1]] = leaf
    if (at + 1) * 32 != len(leaves):
        raise Wrong(told(at + 1, b"", b"", leaves))
    return at + 1, whole.hexdigest(), bound


def check_seals(manifest, bound):
    checkpoints = {one["number"]: one for one in manifest["checkpoints"]}
    before = None  # number and hash of the seal before, within one chain
    for seal in manifest["seals"]:
        number, what = seal["number"], f"seal {seal['number']}"
        if "link" in seal:
            check(before is not None and before[0] + 1 == number, f"{what}: the chain to its checkpoint is broken")
            prev, linked = before[1], bytes.fromhex(seal["link"])
        else:
            prev, linked = bytes.fromhex(seal["prev"]), sha256(plain({name: seal[name] for name in SEAL})).digest()
            check(before is None or (before[0] + 1 == number and before[1] == prev), f"{what}: the chain is broken")
            if bound is not None:
                proven = bound.get(number, {})
                runs = [place for first, last in seal["leaves"] for place in range(first, last + 1)]
                check(runs == sorted(proven), f"{what}: rows that it binds are missing from the export, or too many")
                root = proven_root(seal["count"], proven, [bytes.fromhex(each) for each in seal["proof"]])
                check(root.hex() == seal["root"], f"{what}: its root does not bind these rows")
        hashed = sha256(prev + linked).digest()
        check("link" in seal or hashed.hex() == seal["hash"], f"{what}: its hash is not that of what it says")
        before = (number, hashed)
        if number in checkpoints:
            check(checkpoints.pop(number)["hash"] == hashed.hex(), f"{what}: the checkpoint signs another one")
            before = None
    check(before is None, "the last seals lead to no checkpoint")
    check(not checkpoints, "a checkpoint signs no seal of this export")


def verify(path, key, file):
    raw = path.read_bytes()
    manifest = json.loads(raw)
    base = path.name[: -len(".manifest.json")]
    key = base64.b64decode(key or manifest["public_key"])
    check_signed(key, path.with_name(base + ".manifest.sig").read_text(), raw, "manifest")
    known = set(file.read_text().splitlines()) if file else None
    for one in manifest["checkpoints"]:
        what = f"checkpoint of seal {one['number']}"
        check(known is None or plain(one).decode() in known, f"{what}: it is not in the checkpoint file")
        fields = {name: value for name, value in one.items() if name != "signature"}
        check_signed(key, one["signature"], plain(fields), what)
    packed, leaves = path.with_name(manifest["file"]), path.with_name(base + ".leaves").read_bytes()
    check(sha256(leaves).hexdigest() == manifest["sha256_leaves"], "the leaf hashes are not those of the manifest")
    bound, count = None, manifest["count"]
    try:
        with (gzip.open if packed.suffix == ".gz" else open)(packed, "rb") as file:
            if ".jsonl" in manifest["file"]:
                full = (seal for seal in manifest["seals"] if "link" not in seal)
                count, digest, bound = check_lines(file, leaves, Index(full))
                unbound = count - sum(map(len, bound.values()))
                check(unbound == manifest["unsealed"], f"{unbound} rows are bound by no seal")
            else:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
    except (EOFError, gzip.BadGzipFile, zlib.error) as exc:
        raise Wrong(f"{packed.name}: {exc}") from None
    check(digest == manifest["sha256"], "the content is not that of the manifest")
    with packed.open("rb") as file:
        check(
            hashlib.file_digest(file, "sha256").hexdigest() == manifest["sha256_file"],
            "the file is not that of the manifest",
        )
    check(count == manifest["count"] == len(leaves) // 32, "the counts do not add up")
    check_seals(manifest, bound)
    return f"{count} rows are as they were written; {manifest['unsealed']} of them are not sealed yet"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--key", help="the public key that you trust, base64")
    parser.add_argument("--checkpoints", type=Path, help="a copy of the checkpoint file")
    asked = parser.parse_args()
    try:
        print(verify(asked.manifest, asked.key, asked.checkpoints))
    except (Wrong, OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        sys.exit(f"{type(exc).__name__ + ': ' if not isinstance(exc, Wrong) else ''}{exc}")


if __name__ == "__main__":
    main()
