"""Rows of the register as they leave it: in order of time, a part at a time, in constant memory.

A part is a fixed number of rows behind a place. What it is in a file follows from the rows alone, so an export that was
broken off anywhere goes on behind its last whole part and ends in the same bytes. Lines are canonical bytes (JSON
Lines) or CSV made of them.
"""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

import msgspec
from django.db import connection, transaction
from isal import igzip
from psycopg import sql

from audit.copying import copying
from audit.finding import Selection, operations_with
from audit.merkle import leaf
from audit.models import Event
from audit.seals import runs
from inference.contract.canonical import JSON, NUMBERS, ORDER, SESSION, cells, copy_out, joined, piecemeal
from inference.contract.events import SEEN

PART = 10_000
"""rows"""
LONGEST_PART = 16 << 20
"""bytes, whatever the rows hold: a part is in memory as a whole, several times, and the next one's rows beside it"""
LEVEL = 1
"""of compression: level 2 saves no bytes here, level 3 takes twice the time"""
BOM = b"\xef\xbb\xbf"
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""what a spreadsheet may take for a formula at the beginning of a cell"""


class Format(StrEnum):
    """How rows are written."""

    JSONL = "jsonl"
    CSV = "csv"


class Place(NamedTuple):
    """A row's place in the order of time."""

    at: datetime
    id: UUID


class Part(NamedTuple):
    """Some rows, ready to be appended: `content`, `leaves` (32 bytes a row), `numbers` (a run a line:
    ``writer TAB first TAB last LF``)."""

    content: bytes
    leaves: bytes
    numbers: bytes
    rows: int
    last: Place


@contextmanager
def wall(project: str) -> Iterator[None]:
    """Inside, PostgreSQL shows the project's rows only; all for an empty name. Opens a transaction."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT current_setting(%s, true)", [SEEN])
        before = cursor.fetchone()[0] or ""
        _tell(project or "*")
        yield
        _tell(before)


def _tell(seen: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, true)", [SEEN, seen])


def condition(selection: Selection, after: Place | None) -> sql.Composed:
    """WHERE of a selection's rows behind a place."""
    wanted: list[sql.Composable] = [sql.SQL("true")]
    if selection.since:
        wanted.append(sql.SQL("at >= {}").format(sql.Literal(selection.since)))
    if selection.until:
        wanted.append(sql.SQL("at < {}").format(sql.Literal(selection.until)))
    columns = selection.exact().items()
    wanted += [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value)) for name, value in columns]
    if selection.text:
        wanted.append(_of_text(selection.text))
    if after:
        wanted.append(sql.SQL("(at, id) > ({}, {})").format(sql.Literal(after.at), sql.Literal(after.id)))
    return sql.SQL(" AND ").join(wanted)


def _of_text(text: str) -> sql.Composed:
    """What `audit.finding.Found` finds, as one condition."""
    return sql.SQL(
        "(operation = ANY ({operations}) OR request_id = {text} OR target_name = {text} OR actor_name = {text}"
        " OR source <> 'gateway' AND"
        " strpos(audit_words(operation, target_name, target_id, actor_name, reason || ' ' || ticket),"
        " lower({text})) > 0)"
    ).format(operations=sql.Literal(operations_with(text)), text=sql.Literal(text))


def first_at(selection: Selection) -> datetime | None:
    """When its range begins: progress is told in time, because nobody counts the rows."""
    return selection.since or Event.objects.order_by("at").values_list("at", flat=True).first()


def rows_behind(selection: Selection, after: Place | None, most: int = PART, at_once: int = PART) -> list[bytes]:
    """The next rows as COPY gives them: `most` of them, fewer when they are long, none at the end. Call inside `wall`.

    `at_once` changes nothing but how many are asked for at a time: few where rows are known to be long.
    """
    rows: list[bytes] = []
    left = LONGEST_PART
    while len(rows) < most and left > 0:
        asked = min(at_once, most - len(rows))
        found = _fetch(selection, after, asked, left)
        rows += found
        left -= sum(map(len, found))
        if len(found) < asked:
            break
        after = place_of(found[-1])
    return rows


def _fetch(selection: Selection, after: Place | None, most: int, bytes_left: int) -> list[bytes]:
    """Rows up to the first that goes beyond `bytes_left`; what comes behind it is let go."""
    tail = sql.SQL("WHERE {} ORDER BY at, id LIMIT {}").format(condition(selection, after), sql.Literal(most))
    rows: list[bytes] = []
    with connection.cursor() as cursor:
        for setting in SESSION.split(";"):
            cursor.execute(setting.strip().replace("SET ", "SET LOCAL ", 1))
    with copying(connection, copy_out(tail.as_string(connection.connection))) as stream:
        for row in stream:
            if bytes_left > 0:
                rows.append(bytes(row)[:-1])
                bytes_left -= len(row)
    return rows


def place_of(row: bytes) -> Place:
    """Where a row as COPY gives it stands."""
    columns = row.split(b"\t", _LAST + 1)
    return Place(datetime.fromisoformat(columns[_AT].decode()), UUID(columns[_ID].decode()))


_ID, _AT = ORDER.index("id"), ORDER.index("at")
_LAST = max(_ID, _AT)
_WRITER, _NUMBER = ORDER.index("writer"), ORDER.index("writer_seq")


def part(rows: list[bytes], form: Format) -> Part:
    """The rows as a part of a file."""
    table = io.StringIO(newline="")
    may_run = form == Format.CSV and _runs(b"\n".join(rows))
    lines: list[bytes] = []
    numbers: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        found = cells(row)
        one = piecemeal(row) if found is None else joined(found)
        lines.append(one)
        writer, number = _numbered(row) if found is None else (found[_WRITER], found[_NUMBER])
        numbers[writer].append(int(number))
        if form == Format.CSV:
            table.write(as_csv(_guarded(one) if found is None or (may_run and _runs(row)) else found))
    content = table.getvalue().encode() if form == Format.CSV else b"\n".join((*lines, b""))
    return Part(content, b"".join(map(leaf, lines)), _listed(numbers), len(rows), place_of(rows[-1]))


def _numbered(row: bytes) -> tuple[str, str]:
    columns = row.split(b"\t", _NUMBER + 1)
    return columns[_WRITER].decode(), columns[_NUMBER].decode()


def _listed(numbers: Mapping[str, list[int]]) -> bytes:
    """writer -> its numbers, as they are kept for the manifest."""
    found = runs((writer, number) for writer, its in numbers.items() for number in sorted(its))
    return "".join(f"{writer}\t{first}\t{last}\n" for writer, first, last in found).encode()


def heading(form: Format, *, bom: bool) -> bytes:
    """What stands above the rows."""
    return (BOM if bom else b"") + ",".join(ORDER).encode() + b"\r\n" if form == Format.CSV else b""


def member(content: bytes) -> bytes:
    """A gzip member: members in a row are one file. The same bytes whenever it is made on such a processor."""
    return igzip.compress(content, LEVEL, mtime=0)


_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode


def as_csv(cells: list[str]) -> str:
    """A row of CSV (RFC 4180). Where only `changes` and `detail` need quotation marks there is little to look at."""
    head = ",".join(cells[: -len(JSON)])
    if head.count(",") > len(cells) - len(JSON) - 1 or '"' in head or "\n" in head or "\r" in head:
        return _quoted(cells)
    tail = [f'"{cell.replace(_QUOTE, _TWO)}"' if _QUOTE in cell else cell for cell in cells[-len(JSON) :]]
    return ",".join((head, *tail)) + "\r\n"


_QUOTE, _TWO = '"', '""'


def _quoted(cells: list[str]) -> str:
    table = io.StringIO(newline="")
    csv.writer(table).writerow(cells)
    return table.getvalue()


_runs = re.compile(b"\t(?:%b)" % b"|".join(re.escape(sign.encode()) for sign in FORMULA if not sign.isspace())).search
"""Whether a cell begins like a formula. The first one is an id, and in blanks COPY would have escaped something."""


def _guarded(line: bytes) -> list[str]:
    """The cells of a canonical line. One that a spreadsheet might run begins with an apostrophe."""
    found = _decode(line)
    return [_cell(name, found.get(name)) for name in ORDER]


def _cell(name: str, raw: msgspec.Raw | None) -> str:
    if raw is None:
        return ""
    value = bytes(raw)
    if name in NUMBERS or value[:1] == b"{":
        return value.decode()
    text = _text(value)
    return f"'{text}" if text.startswith(FORMULA) else text
