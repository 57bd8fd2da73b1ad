"""The register's row: who did what, when, where, why and how, in one shape for management and inference.

`Event` is the one definition; `audit` writes it with INSERT inside the caller's transaction, the gateway with a binary
COPY. A test holds the migration's columns against `COLUMNS`.
"""

import ipaddress
import struct
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec

TABLE = "audit_event"
"""where it is read: row-level security shows what `SEEN` of the connection tells"""
ROWS = "audit_event_rows"
"""where it is written: all of `TABLE`, without the security that PostgreSQL knows no COPY with; nobody may read here"""
SEEN = "signalbox.events_of"
"""names of projects, joined with commas; ``*`` is all"""


class Event(msgspec.Struct, kw_only=True):
    """One entry of the register. Times are aware; texts are empty, numbers None, where there is nothing to say."""

    # which
    id: UUID
    kind: str
    """intent, outcome, management, security or system"""
    operation: str
    """a registered name such as ``inference.chat`` or ``deployment.scaled``"""
    project: str = ""
    """slug; empty for the platform"""
    request_id: str = ""
    parent_id: UUID | None = None
    """an outcome's intent"""
    writer: str = ""
    writer_seq: int = 0
    """counts up by one for each event of one writer: a gap shows a loss"""
    # who
    actor_type: str
    """user, api_key, service_account, system or anonymous"""
    actor_id: str = ""
    actor_name: str = ""
    auth_method: str = ""
    # what
    target_type: str = ""
    target_id: str = ""
    target_name: str = ""
    changes: dict[str, Any] | None = None
    """field -> [before, after]; never a secret"""
    # when
    at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    # where
    source_ip: str | None = None
    host: str = ""
    region: str = ""
    """of the machine that writes, as its operator names it"""
    replica: str = ""
    # why
    reason: str = ""
    ticket: str = ""
    """of the change or the incident that asked for it"""
    # how
    source: str = ""
    """ui, api, cli, worker or gateway"""
    client: str = ""
    """the client library as it names itself, shortened"""
    route: str = ""
    model_version: str = ""
    detail: dict[str, Any] | None = None
    """parameters, limits applied, routing reason"""
    # with what result
    input_digest: bytes | None = None
    output_digest: bytes | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    status: str = ""
    """ok or a named reason"""
    status_code: int | None = None


COLUMNS: tuple[str, ...] = Event.__struct_fields__

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
NULL = b"\xff\xff\xff\xff"
_ID_LENGTH = b"\x00\x00\x00\x10"
_length = struct.Struct("!i").pack
_length_int4 = struct.Struct("!ii").pack
_length_int8 = struct.Struct("!iq").pack
_encode_json = msgspec.json.Encoder().encode


def pack_text(value: str) -> bytes:
    raw = value.replace("\x00", "\ufffd").encode("utf-8", "replace")  # PostgreSQL text cannot hold NUL
    return _length(len(raw)) + raw


def _uuid(value: UUID) -> bytes:
    return _ID_LENGTH + value.bytes


def _timestamptz(value: datetime) -> bytes:
    since = value - _EPOCH
    return _length_int8(8, (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)


_POSTGRES_EPOCH = int(_EPOCH.timestamp()) * 1_000_000
_two_instants = struct.Struct("!iqiq").pack
_three_instants = struct.Struct("!iqiqiq").pack
_two_int4s = struct.Struct("!iiii").pack


def pack_instants(at: int, started: int, ended: int | None) -> bytes:
    """The three times of a row, each in microseconds since 1970."""
    if ended is None:
        return _two_instants(8, at - _POSTGRES_EPOCH, 8, started - _POSTGRES_EPOCH) + NULL
    return _three_instants(8, at - _POSTGRES_EPOCH, 8, started - _POSTGRES_EPOCH, 8, ended - _POSTGRES_EPOCH)


def pack_int4s(first: int, second: int) -> bytes:
    """Two neighbouring whole numbers of 32 bits."""
    return _two_int4s(4, first, 4, second)


def pack_bytes(value: bytes) -> bytes:
    return _length(len(value)) + value


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if isinstance(value, dict):
        return {_without_nul(k): _without_nul(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nul(item) for item in value]
    return value


def pack_json(value: dict[str, Any]) -> bytes:
    raw = _encode_json(value)
    if b"\\u0000" in raw:  # PostgreSQL's jsonb cannot hold NUL either
        raw = _encode_json(_without_nul(value))
    return _length(len(raw) + 1) + b"\x01" + raw


@lru_cache(maxsize=4096)
def _inet(value: str) -> bytes:
    address = ipaddress.ip_address(value)
    family, bits = (2, 32) if address.version == 4 else (3, 128)
    packed = bytes((family, bits, 0, len(address.packed))) + address.packed
    return _length(len(packed)) + packed


def _int4(value: int) -> bytes:
    return _length_int4(4, value)


def pack_int8(value: int) -> bytes:
    return _length_int8(8, value)


_PACKERS: dict[str, Callable[[Any], bytes]] = {
    "id": _uuid,
    "parent_id": _uuid,
    "at": _timestamptz,
    "started_at": _timestamptz,
    "ended_at": _timestamptz,
    "source_ip": _inet,
    "changes": pack_json,
    "detail": pack_json,
    "input_digest": pack_bytes,
    "output_digest": pack_bytes,
    "prompt_tokens": _int4,
    "completion_tokens": _int4,
    "status_code": _int4,
    "writer_seq": pack_int8,
}
_ROW = tuple((name, _PACKERS.get(name, pack_text)) for name in COLUMNS)
_FIELD_COUNT = struct.pack("!h", len(COLUMNS))
_RUN = b"%b"
COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + b"\x00" * 8
COPY_TRAILER = b"\xff\xff"
COPY_STATEMENT = f"COPY {ROWS} ({', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)"


def pack_row(event: Event) -> bytes:
    """The event as one row of PostgreSQL's binary COPY format, without header and trailer."""
    parts = [_FIELD_COUNT]
    for name, pack in _ROW:
        value = getattr(event, name)
        parts.append(NULL if value is None else pack(value))
    return b"".join(parts)


def pack_copy(rows: Iterable[bytes]) -> bytes:
    """A whole binary COPY payload from packed rows."""
    return b"".join((COPY_HEADER, *rows, COPY_TRAILER))


def pack_column(name: str, value: Any) -> bytes:
    """One column of a row."""
    return NULL if value is None else _PACKERS.get(name, pack_text)(value)


def pack_id(raw: bytes | None) -> bytes:
    """A UUID from its sixteen bytes."""
    return NULL if raw is None else _ID_LENGTH + raw


class RowTemplate:
    """Packs rows that have most columns in common: what is `constant` is packed once, what varies at each row.

    `varying` are the other columns, in runs of neighbours: a row is made by giving the packed bytes of each run.
    """

    def __init__(self, constant: dict[str, Any]) -> None:
        runs: list[list[str]] = []
        parts = [_FIELD_COUNT]
        for name, pack in _ROW:
            if name not in constant:
                if parts[-1] is not _RUN:
                    parts.append(_RUN)
                    runs.append([])
                runs[-1].append(name)
            else:
                value = constant[name]
                parts.append((NULL if value is None else pack(value)).replace(b"%", b"%%"))
        self.varying = tuple(map(tuple, runs))
        self._format = b"".join(parts)

    def pack(self, *runs: bytes) -> bytes:
        """The row; `runs` are the packed columns of each run of `varying`."""
        return self._format % runs
