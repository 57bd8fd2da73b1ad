"""A row's canonical bytes: made from what PostgreSQL gives back, one line, valid JSON, all of the row."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.contract import canonical
from inference.contract.events import COPY_STATEMENT, Event, pack_copy, pack_row
from inference.contract.ids import uuid7
from tests.contract.test_events import FULL, NOW, event

pytestmark = pytest.mark.django_db


def write(one: Event) -> None:
    with connection.cursor() as cursor, cursor.copy(COPY_STATEMENT) as stream:
        stream.write(pack_copy([pack_row(one)]))


def line_of(one: Event) -> bytes:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL TimeZone = 'UTC'")
        with cursor.copy(canonical.copy_out("WHERE id = %s"), [one.id]) as rows:
            (row,) = [bytes(each) for each in rows]
        return canonical.line(row.removesuffix(b"\n"))


def stored(**fields: Any) -> bytes:
    one = event(**fields)
    write(one)
    return line_of(one)


def test_smallest_row() -> None:
    one = event()
    write(one)
    assert (
        line_of(one)
        == (
            f'{{"id":"{one.id}","kind":"intent","operation":"inference.chat","writer_seq":0,'
            f'"actor_type":"api_key","at":"2026-11-22T12:00:00.123456Z"}}'
        ).encode()
    )


def test_fullest_row_has_every_column() -> None:
    found = json.loads(stored(**FULL))
    assert list(found) == list(canonical.ORDER)
    assert found["changes"] == FULL["changes"]
    assert found["detail"] == FULL["detail"]
    assert found["ended_at"] == "2026-11-22T12:00:01.123456Z"
    assert (found["input_digest"], found["output_digest"]) == (bytes(range(32)).hex(), "")
    assert (found["source_ip"], found["writer_seq"], found["status_code"]) == ("10.0.0.1", 2**62, 200)


@pytest.mark.parametrize("microseconds", [0, 1, 100000, 999999, 120000])
def test_times_have_always_six_digits(microseconds: int) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, microseconds, tzinfo=UTC)
    assert json.loads(stored(at=moment))["at"] == f"2026-01-02T03:04:05.{microseconds:06d}Z"


def test_another_time_zone_is_refused() -> None:
    one = event(at=NOW + timedelta(hours=1))
    write(one)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL TimeZone = 'Asia/Shanghai'")
        with cursor.copy(canonical.copy_out("WHERE id = %s"), [one.id]) as rows:
            (row,) = [bytes(each) for each in rows]
    with pytest.raises(canonical.NotCanonical):
        canonical.line(row.removesuffix(b"\n"))


@pytest.mark.parametrize("row", [b"", b"\t\t", b"a\tb\tc", b"\t" * 33 + b"null"])
def test_what_is_no_row_is_refused(row: bytes) -> None:
    with pytest.raises(canonical.NotCanonical):
        canonical.line(row)


TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=30)
ODD = st.text(st.sampled_from('"\\\b\f\n\r\t\v\x01\x1f\x7f\u2028名vnu0'), max_size=12)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | ODD
)
JSON = st.dictionaries(TEXT | ODD, st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3)), max_size=3)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXT | ODD, client=TEXT | ODD, detail=JSON, digest=st.none() | st.binary(max_size=40))
def test_whatever_comes_is_told_as_it_is(text: str, client: str, detail: dict[str, Any], digest: bytes | None) -> None:
    one = event(id=uuid7(), reason=text, client=client, detail=detail, input_digest=digest)
    write(one)
    line = line_of(one)
    assert b"\n" not in line
    found = json.loads(line)
    assert (found.get("reason", ""), found.get("client", "")) == (text, client)
    assert json.loads(line, parse_int=float)["detail"] == detail
    assert found.get("input_digest") == (None if digest is None else digest.hex())
    assert line_of(one) == line


FIELD = st.text(st.characters(exclude_characters="\x00\t\n\r\b\f\v\\", exclude_categories=["Cs"]), max_size=8)
MOMENT = st.sampled_from(["", "2026-11-22 12:00:00.123456+00", "2026-11-22 12:00:00+00", "2026-11-22 12:00:00.5+00"])
OBJECT = st.sampled_from(["", "{}", '{"a": "名"}'])


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_quick_way_comes_to_the_same_bytes(data: st.DataObject) -> None:
    kinds = dict.fromkeys(canonical.TIMES, MOMENT) | dict.fromkeys(canonical.JSON, OBJECT)
    kinds |= {name: st.sampled_from(["", "0", str(2**62)]) for name in canonical.NUMBERS}
    kinds |= {name: st.sampled_from(["", "x", "x00ff"]) for name in canonical.DIGESTS}
    row = "\t".join(data.draw(kinds.get(name, FIELD)) for name in canonical.ORDER).encode()
    assert canonical.line(row) == canonical.piecemeal(row)
