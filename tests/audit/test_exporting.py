"""Rows as they leave the register: canonical lines, CSV that no spreadsheet runs, in parts of any size."""

import csv
import gzip
import io
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import exporting
from audit.exporting import BOM, FORMULA, Format, as_csv, heading, member, part, rows_behind, wall
from audit.finding import Selection, find
from audit.models import Event
from inference.contract.canonical import JSON, ORDER, line
from inference.contract.ids import uuid7
from tests.console.register import NOON, write

pytestmark = pytest.mark.django_db


def _exported(selection=None, most=7, form=Format.JSONL, project="") -> bytes:
    """The whole content, part by part."""
    content, place = heading(form, bom=False), None
    while rows := _rows(selection or Selection(), place, most, project):
        found = part(rows, form)
        content, place = content + found.content, found.last
    return content


def _rows(selection, place, most, project):
    with wall(project):
        return rows_behind(selection, place, most)


def test_a_line_is_a_row_s_canonical_bytes():
    write(reason="促销\n第二行", detail={"a": [1, "b"]})
    rows = _rows(Selection(), None, 10, "")
    assert part(rows, Format.JSONL).content == line(rows[0]) + b"\n"


@pytest.mark.parametrize("most", [1, 3, 1000])
def test_parts_of_any_size_are_the_same_bytes(most):
    for number in range(10):
        write(at=NOON + timedelta(seconds=number // 3))
    assert _exported(most=most) == _exported(most=4)
    assert _exported(most=most).count(b"\n") == 10


@pytest.mark.parametrize(
    "selection",
    [Selection(project="b"), Selection(text="促销"), Selection(text="embed"), Selection(status="refused"),
     Selection(since=NOON + timedelta(days=400)), Selection(text="'; DROP--"), Selection(project="b", text="促销")],
)  # fmt: skip
def test_what_is_exported_is_what_is_found(selection):
    write(project="b", source="ui", reason="周末促销"), write(project="a", source="ui", reason="促销")
    write(operation="inference.embedding"), write(status="refused", at=NOON + timedelta(days=401))
    found = [it.pk.hex for it in find(Event.objects.all(), selection).order_by("at", "id")[:50]]
    shown = [row.split(b"\t")[0].replace(b"-", b"").decode() for row in _rows(selection, None, 50, "")]
    assert shown == found


def test_wall_holds_without_any_filter():
    write(project="a"), write(project="b"), write(project="")
    assert b'"project":"b"' not in _exported(project="a")
    assert _exported(project="a").count(b"\n") == 1


def test_csv_reads_back():
    write(reason='says "hi", and\ngoes on', detail={"a": 1}, actor_name="爱丽丝")
    head, row = csv.reader(io.StringIO(_exported(form=Format.CSV).decode(), newline=""))
    read = dict(zip(head, row, strict=True))
    assert tuple(head) == ORDER
    assert (read["reason"], read["actor_name"]) == ('says "hi", and\ngoes on', "爱丽丝")
    assert read["detail"] == '{"a": 1}'


@given(st.sampled_from(FORMULA), st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20))
def test_no_cell_begins_as_a_formula(sign, rest):
    given = {
        "id": str(uuid7()),
        "at": "2026-11-22 12:00:00.123456+00",
        "reason": copied(sign + rest),
        "writer_seq": "-1",
    }
    plain = {**given, "reason": "plain"}
    rows = ["\t".join(each.get(name, "") for name in ORDER).encode() for each in (plain, given)]
    before, row = csv.reader(io.StringIO(part(rows, Format.CSV).content.decode(), newline=""))
    assert row[ORDER.index("reason")] == f"'{sign}{rest}"
    assert (before[ORDER.index("reason")], before[ORDER.index("writer_seq")]) == ("plain", "-1")


@given(
    st.text(st.sampled_from('a名 ,"\r\n='), max_size=3), st.integers(0, len(ORDER) - len(JSON) - 1),
    st.sampled_from(["", "{}", '{"a": "b,"}']),
)  # fmt: skip
def test_csv_is_what_the_library_writes(cell, place, detail):
    cells = [*("plain 名" for _ in ORDER[1:]), detail]
    cells[place] = cell
    table = io.StringIO(newline="")
    csv.writer(table).writerow(cells)
    assert as_csv(cells) == table.getvalue()


def copied(text: str) -> str:
    """As COPY tells it."""
    return text.translate({ord("\\"): r"\\", ord("\t"): r"\t", ord("\n"): r"\n", ord("\r"): r"\r"})


def test_csv_holds_what_the_canonical_lines_hold():
    write(reason="促销 " + '"', writer_seq=7, writer="w", input_digest=b"", started_at=NOON, status_code=200)
    write(reason="a\\b", client="=1+1", detail={"a": '"'}, output_digest=b"\x01")
    rows = _rows(Selection(), None, 10, "")
    table = csv.DictReader(io.StringIO(_exported(form=Format.CSV).decode(), newline=""))
    for row, shown in zip(rows, table, strict=True):
        held = msgspec.json.decode(line(row))
        for name in ORDER:
            value = held.get(name, "")
            text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            assert shown[name].lstrip("'").replace(" ", "") == text.replace(" ", "")


def test_excel_is_told_the_encoding_once():
    assert heading(Format.CSV, bom=True).startswith(BOM)
    assert heading(Format.JSONL, bom=True) == b""


def test_members_in_a_row_are_one_file():
    assert gzip.decompress(member(b"a") + member(b"b")) == b"ab"
    assert member(b"a") == member(b"a")


@pytest.mark.parametrize("at_once", [2, 100])
def test_rows_of_a_mebibyte_leave_whole_in_parts_that_fit_the_memory(at_once, monkeypatch):
    monkeypatch.setattr(exporting, "LONGEST_PART", 3 << 20)
    for number in range(7):
        write(reason=f"{number}" + "x" * (1 << 20), request_id=str(number))
    sizes, place, content = [], None, b""
    with wall(""):
        while rows := rows_behind(Selection(), place, 100, at_once):
            found = part(rows, Format.JSONL)
            sizes.append(found.rows)
            content, place = content + found.content, found.last
    assert sizes == [3, 3, 1]
    assert content.count(b"x") == 7 << 20
