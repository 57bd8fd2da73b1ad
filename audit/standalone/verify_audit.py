#!/usr/bin/env python3
"""Verifies an export of Signalbox's register without Signalbox and without a database.

    verify_audit.py NAME.manifest.json [--key PUBLIC_KEY_BASE64] [--checkpoints register.jsonl]

Needs Python 3.11 and `cryptography`. Without --key the export is only checked against the key that it brings along.
The formats stand in Signalbox's docs/register.md. Ends with 0 when all is as it was, else with 1 and what is wrong.
"""

import argparse
import base64
import gzip
import io
import json
import re
import sys
import zlib
from bisect import bisect_left, bisect_right
from concurrent.futures import ThreadPoolExecutor
from hashlib import file_digest, sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

NUMBERED = re.compile(rb'"writer":"([^"\\]*(?:\\.[^"\\]*)*)","writer_seq":(\d+)')
BLOCK = 1 << 20
SEAL = ("number", "epoch", "sealed_at", "ranges", "gaps", "count", "total", "first_at", "last_at", "root")
Wrong = type("Wrong", (Exception,), {})


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


def whole_root(level):
    while len(level) > 1:
        odd = level[-1:] if len(level) % 2 else []
        level = [sha256(b"\x01" + left + right).digest() for left, right in zip(level[::2], level[1::2])] + odd
    return level[0]


def proven_root(size, proven, proof):  # proven: place -> leaf
    places, others = sorted(proven), iter(proof)

    def of(first, size):
        begin, end = bisect_left(places, first), bisect_left(places, first + size)
        if begin == end:
            return next(others, b"")
        if end - begin == size:
            return whole_root([proven[place] for place in places[begin:end]])
        left = 1 << ((size - 1).bit_length() - 1)
        return sha256(b"\x01" + of(first, left) + of(first + left, size - left)).digest()

    return of(0, size) + next(others, b"")


def spans_of(seals):  # writer -> where its rows stand: first and last number, seal, leaves of the seal before them
    spans = {}
    for seal in seals:
        before = 0
        for writer, first, last in seal["ranges"]:
            spans.setdefault(writer, []).append((first, last, seal["number"], before))
            before += last - first + 1
    return {writer: sorted(found) for writer, found in spans.items()}


def told(at, line, after, leaves):
    hashes = [leaves[i : i + 32] for i in range(0, len(leaves), 32)]
    mine, behind = (sha256(b"\x00" + each.rstrip(b"\n")).digest() for each in (line, after))
    writer, number = (NUMBERED.findall(line) or [(b"?", b"0")])[0]
    where = "writer {}, number {}".format(json.loads(b'"%b"' % writer), int(number))
    words = f"line {at + 1} ({where})"
    if not line.endswith(b"\n"):
        return f"line {at + 1}: cut off; {len(hashes) - at} rows are missing from here on"
    if at >= len(hashes) or (after and behind == hashes[at]):
        return f"{words}: inserted"
    if mine == hashes[min(at + 1, len(hashes) - 1)] and behind != hashes[at]:
        return f"line {at + 1}: a row before {where} is missing"
    return f"{words}: swapped, it belongs at line {hashes.index(mine) + 1}" if mine in hashes else f"{words}: changed"


def ahead(file, whole):  # blocks of the file; unpacking the next and hashing is done in a thread, the interpreter free
    with ThreadPoolExecutor(1) as thread:
        later = thread.submit(file.read, BLOCK * 8)
        while block := later.result():
            thread.submit(whole.update, block)
            later = thread.submit(file.read, BLOCK * 8)
            yield block


def check_lines(blocks, leaves, spans):  # how many rows, and seal -> place -> leaf
    bound, known, at, rest = {}, {}, 0, b""
    for block in blocks:
        text, end, rest = (rest + block).rpartition(b"\n")
        lines = text.split(b"\n") if end else []
        hashes = [sha256(b"\x00" + line).digest() for line in lines]
        if b"".join(hashes) != leaves[at * 32 : (at + len(lines)) * 32]:
            wrong = next(i for i, it in enumerate(hashes, at) if it != leaves[i * 32 : i * 32 + 32]) - at
            after = [*lines[wrong + 1 :], (rest + next(blocks, b"")).split(b"\n")[0]][0]
            raise Wrong(told(at + wrong, lines[wrong] + end, after, leaves))
        found = [(NUMBERED.findall(line) or [(b"", 0)])[0] for line in lines]
        for (writer, number), leaf in zip(found, hashes):
            number = int(number)
            first, last, places, before = known.get(writer, (1, 0, None, 0))
            if not first <= number <= last:
                mine = spans.get(json.loads(b'"%b"' % writer), [(1, 0, 0, 0)])
                first, last, seal, before = mine[bisect_right(mine, (number, 1 << 63)) - 1]
                if not first <= number <= last:
                    continue
                places = bound.setdefault(seal, {})
                known[writer] = first, last, places, before
            places[before + number - first] = leaf
        at += len(lines)
    if rest or at * 32 != len(leaves):
        raise Wrong(told(at, rest, b"", leaves))
    return at, bound


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


def verify(manifest, key, checkpoints):
    path, raw, manifest = manifest, manifest.read_bytes(), json.loads(manifest.read_bytes())
    base = path.name[: -len(".manifest.json")]
    key = base64.b64decode(key or manifest["public_key"])
    check_signed(key, path.with_name(base + ".manifest.sig").read_text(), raw, "manifest")
    known = set(checkpoints.read_text().splitlines()) if checkpoints else None
    for one in manifest["checkpoints"]:
        what = f"checkpoint of seal {one['number']}"
        check(known is None or plain(one).decode() in known, f"{what}: it is not in the checkpoint file")
        check_signed(key, one["signature"], plain({name: one[name] for name in one if name != "signature"}), what)
    content, leaves = path.with_name(manifest["file"]), path.with_name(base + ".leaves").read_bytes()
    check(sha256(leaves).hexdigest() == manifest["sha256_leaves"], "the leaf hashes are not those of the manifest")
    bound, count, whole = None, manifest["count"], sha256()
    io.DEFAULT_BUFFER_SIZE = BLOCK  # of gzip, too
    with (gzip.open if content.suffix == ".gz" else open)(content, "rb") as file:
        blocks = ahead(file, whole)
        if ".jsonl" in manifest["file"]:
            count, bound = check_lines(blocks, leaves, spans_of(it for it in manifest["seals"] if "link" not in it))
            check(count - sum(map(len, bound.values())) == manifest["unsealed"], "rows are bound by no seal")
        sum(map(len, blocks))  # to its end
    check(whole.hexdigest() == manifest["sha256"], "the content is not that of the manifest")
    with content.open("rb") as file:
        packed = file_digest(file, "sha256").hexdigest() == manifest["sha256_file"]
        check(packed, "the file is not that of the manifest")
    check(count == manifest["count"] == len(leaves) // 32, "the counts do not add up")
    check_seals(manifest, bound)
    return f"{count} rows are as they were written; {manifest['unsealed']} of them are not sealed yet"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--key", help="the public key that you trust, base64")
    parser.add_argument("--checkpoints", type=Path, help="a copy of the checkpoint file")
    try:
        print(verify(**vars(parser.parse_args())))
    except (Wrong, OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, AttributeError) as exc:
        sys.exit(f"{type(exc).__name__ + ': ' if not isinstance(exc, Wrong) else ''}{exc}")


if __name__ == "__main__":
    main()
