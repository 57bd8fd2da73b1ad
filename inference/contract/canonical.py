"""A row of the register as its canonical bytes: what seals hash, and what a line of a JSON Lines export is.

One line of JSON without its end of line: columns in the order of `ORDER`, no blanks, empty texts and NULLs left out (so
a column that is added later changes no row of before). Times as ``2026-11-22T10:03:06.123456Z``, UUIDs and digests in
lower-case hexadecimal, jsonb as PostgreSQL prints it, texts in UTF-8 with only ``"``, ``\\`` and what is below U+0020
escaped. It is made from what is stored, never from what was meant to be: PostgreSQL's COPY in text format, which
`copy_out` asks for, is nearly that already, and `line` does the rest.
"""

import re
from functools import lru_cache
from typing import Any, NoReturn

import msgspec
from msgspec import UNSET, Raw, UnsetType

from inference.contract.events import COLUMNS, TABLE

TIMES = frozenset({"at", "started_at", "ended_at"})
NUMBERS = frozenset({"writer_seq", "prompt_tokens", "completion_tokens", "status_code"})
DIGESTS = frozenset({"input_digest", "output_digest"})
JSON = ("changes", "detail")
ORDER: tuple[str, ...] = (*(name for name in COLUMNS if name not in JSON), *JSON)


class NotCanonical(ValueError):
    """The row holds what no writer of ours writes, or came over a connection whose time zone is not UTC."""


# An x in front tells an empty digest from none.
SELECTED = ", ".join(f"right({name}::text, -1)" if name in DIGESTS else name for name in ORDER)
SESSION = "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'"
"""what a connection has to be told before it copies out"""


def copy_out(condition: str = "", table: str = TABLE) -> str:
    """The statement whose rows `line` takes; `condition` is what follows FROM: WHERE, ORDER BY."""
    return f"COPY (SELECT {SELECTED} FROM {table} {condition}) TO STDOUT (NULL '')"  # nosec B608  # noqa: S608 - names of our own


_ODD = re.compile(rb'["\\\x00-\x08\x0a-\x1f]').search
_TO_ESCAPE = re.compile(rb'\\.|["\x00-\x1f]')
_VERTICAL_TAB = rb"\u000b"
_PLACES = {name: place for place, name in enumerate(ORDER)}
_TIME_PLACES = tuple(_PLACES[name] for name in sorted(TIMES))
_DIGEST_PLACES = tuple(_PLACES[name] for name in sorted(DIGESTS))
_AT_WHOLE = len(b"2026-11-22 10:03:06.123456+00")
_BARE = NUMBERS.union(JSON)
_BARE_PLACES = tuple(_PLACES[name] for name in sorted(_BARE))
_CHANGES, _DETAIL = _PLACES["changes"], _PLACES["detail"]
_Line = msgspec.defstruct(
    "_Line", [(name, Raw | UnsetType, UNSET) if name in _BARE else (name, str, "") for name in ORDER],
    omit_defaults=True, gc=False,
)  # fmt: skip
_OBJECT = ("", "{")
_encode = msgspec.json.Encoder().encode
_TIME = re.compile(rb"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?\+00").fullmatch


def line(row: bytes) -> bytes:
    """The canonical bytes of a row as `copy_out` gives it, without its end of line. Raises `NotCanonical`."""
    found = cells(row)
    return piecemeal(row) if found is None else joined(found)


def cells(row: bytes) -> list[str] | None:
    """The columns as a canonical line shows them, not escaped yet; None where COPY has escaped. Raises `NotCanonical`.

    What is None only `piecemeal` can write.
    """
    if b"\\" in row:
        return None
    fields = row.decode().split("\t")
    if len(fields) != len(ORDER):
        _strange()
    for place in _TIME_PLACES:
        if value := fields[place]:
            # A whole one is cut without looking further: it ends in +00 or is no time of UTC.
            whole = len(value) == _AT_WHOLE and value[26:] == "+00"
            fields[place] = f"{value[:10]}T{value[11:26]}Z" if whole else time(value.encode()).decode()
    for place in _DIGEST_PLACES:
        if value := fields[place]:
            if value == "x":  # an empty digest is something, an empty text is nothing
                return None
            fields[place] = value[1:]
    if fields[_CHANGES][:1] not in _OBJECT or fields[_DETAIL][:1] not in _OBJECT:
        _strange()
    return fields


def joined(cells: list[str]) -> bytes:
    """The canonical bytes of what `cells` found: msgspec escapes as JSON here has to be."""
    given: list[Any] = cells.copy()
    for place in _BARE_PLACES:
        given[place] = Raw(value) if (value := given[place]) else UNSET
    return _encode(_Line(*given))


def piecemeal(row: bytes) -> bytes:
    """The same for any row; `line` comes to the same bytes sooner. Raises `NotCanonical`."""
    head, changes, detail = row.rsplit(b"\t", 2) if row.count(b"\t") == len(ORDER) - 1 else _strange()
    fields = head.split(b"\t") if _ODD(head) is None else [_escaped(field) for field in head.split(b"\t")]
    fields += (_json(changes), _json(detail)) if changes or detail else (b"", b"")
    for place in _TIME_PLACES:
        if value := fields[place]:
            # A whole one is cut without looking further: it ends in +00 or is no time of UTC.
            whole = len(value) == _AT_WHOLE and value[26:] == b"+00"
            fields[place] = value[:10] + b"T" + value[11:26] + b"Z" if whole else time(value)
    form = _form(tuple(map(bool, fields)))
    for place in _DIGEST_PLACES:
        if value := fields[place]:
            fields[place] = value[1:] or _EMPTY
    return form % tuple(filter(None, fields))


def _strange() -> NoReturn:
    raise NotCanonical("not a row of the register")


class _Empty(bytes):
    """No bytes, and yet something."""

    def __bool__(self) -> bool:
        return True


_EMPTY = _Empty()


@lru_cache(maxsize=4096)
def _form(present: tuple[bool, ...]) -> bytes:
    """How a row with these columns is written."""
    parts = (
        (f'"{name}":%b' if name in _BARE else f'"{name}":"%b"').encode()
        for name, there in zip(ORDER, present, strict=True)
        if there
    )
    return b"{" + b",".join(parts) + b"}"


def _escaped(field: bytes) -> bytes:
    return _TO_ESCAPE.sub(lambda found: _escape(found.group()), field)


def _escape(found: bytes) -> bytes:
    """COPY and JSON write the usual escapes alike, but for the quotation mark and the rare control characters."""
    if found == b'"':
        return b'\\"'
    if len(found) == 1:
        return b"\\u%04x" % found[0]
    return _VERTICAL_TAB if found == b"\\v" else found


def _json(field: bytes) -> bytes:
    if not field:
        return field
    if field[:1] != b"{":
        raise NotCanonical("changes and detail are objects")
    return field.replace(b"\\\\", b"\\")


def time(value: bytes) -> bytes:
    """A time as PostgreSQL prints it in UTC, in its canonical form. Raises `NotCanonical`."""
    found = _TIME(value)
    if found is None:
        raise NotCanonical(f"not a time in UTC: {value!r}")
    day, clock, fraction = found.groups()
    return b"%bT%b.%bZ" % (day, clock, (fraction or b"").ljust(6, b"0"))
