"""Signed checkpoints, written where whoever runs the database cannot reach: what an altered database is convicted with.

A sink takes a line and returns once it is durable, or raises OSError. The file is one; another is a class with
`append`.
"""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings

from audit.models import Checkpoint, Seal
from audit.seals import moment, plain_json
from audit.signing import Signer, is_signed, signer


class Sink(Protocol):
    """Where checkpoints go."""

    def append(self, line: bytes) -> None:
        """Return once the line (without its end) is durable. Raises OSError."""


class FileSink:
    """Lines of a file, in one write each, synced."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, line: bytes) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            torn = size and os.pread(descriptor, 1, size - 1) != b"\n"  # a power cut in the line before
            content = (b"\n" if torn else b"") + line + b"\n"
            if os.write(descriptor, content) != len(content):
                raise OSError(f"{self._path}: the line was not written whole")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sinks() -> list[Sink]:
    """Those of this installation."""
    return [FileSink(settings.CHECKPOINTS_FILE)]


def signed(seal: Seal, now: datetime, by: Signer) -> bytes:
    """The line."""
    fields: dict[str, Any] = {
        "number": seal.number, "hash": bytes(seal.hash).hex(), "count": seal.total, "key": by.fingerprint,
        "signed_at": moment(now),
    }  # fmt: skip
    return plain_json(fields | {"signature": by.sign(plain_json(fields))})


def write_checkpoint(now: datetime) -> Checkpoint | None:
    """Sign the newest seal if it is not signed yet. Raises OSError when a sink cannot take it: try again then."""
    seal = Seal.objects.only("number", "hash", "total").first()
    last = Checkpoint.objects.first()
    if seal is None or (last is not None and last.number >= seal.number):
        return None
    line = signed(seal, now, signer())
    for sink in sinks():
        sink.append(line)
    made, _ = Checkpoint.objects.get_or_create(number=seal.number, defaults={"signed_at": now, "line": line.decode()})
    return made


class BadCheckpoint(ValueError):
    """A line that is none, or that this installation's key did not sign."""


def opened(line: str, public: bytes) -> dict[str, Any]:
    """The fields of a line whose signature is good. Raises `BadCheckpoint`."""
    try:
        fields = json.loads(line)
        signature = fields.pop("signature")
        if isinstance(fields["number"], int) and is_signed(plain_json(fields), signature, public):
            return dict(fields)
    except (ValueError, KeyError, AttributeError, TypeError) as exc:
        raise BadCheckpoint("no checkpoint") from exc
    raise BadCheckpoint("the signature is not good")
