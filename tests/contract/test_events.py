"""The register's row goes through a real COPY and comes back as it was."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.models import Event as Row
from inference.contract.events import (
    COLUMNS,
    COPY_STATEMENT,
    Event,
    RowTemplate,
    pack_column,
    pack_copy,
    pack_id,
    pack_instants,
    pack_int4s,
    pack_row,
)
from inference.contract.ids import uuid7

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)


def event(**fields: Any) -> Event:
    return Event(
        **{"id": uuid7(), "kind": "intent", "operation": "inference.chat", "actor_type": "api_key", "at": NOW} | fields
    )


def copy(*events: Event) -> None:
    with connection.cursor() as cursor, cursor.copy(COPY_STATEMENT) as stream:
        stream.write(pack_copy(pack_row(one) for one in events))


def back(one: Event) -> dict[str, Any]:
    row = Row.objects.get(pk=one.id)
    return {name: bytes(value) if isinstance(value := getattr(row, name), memoryview) else value for name in COLUMNS}


def round_trip(**fields: Any) -> dict[str, Any]:
    one = event(**fields)
    copy(one)
    return {name: value for name, value in back(one).items() if name in fields}


def test_smallest_row() -> None:
    one = event()
    copy(one)
    assert back(one) == msgspec.structs.asdict(one)


FULL: dict[str, Any] = {
    "project": "team-a", "request_id": "r", "parent_id": uuid7(), "writer": "w", "writer_seq": 2**62,
    "actor_id": "a", "actor_name": "信号", "auth_method": "key",
    "target_type": "t", "target_id": "i", "target_name": "n", "changes": {"replicas": [1, 2]},
    "started_at": NOW, "ended_at": NOW + timedelta(seconds=1), "source_ip": "10.0.0.1", "host": "h",
    "region": "cn-east-1", "replica": "r-0",
    "reason": "why", "ticket": "CHG-1", "source": "gateway", "client": "openai/2",
    "route": "chat", "model_version": "m:v1",
    "detail": {"stream": True, "nested": {"x": [1.5, None]}}, "input_digest": bytes(range(32)), "output_digest": b"",
    "prompt_tokens": 1, "completion_tokens": 2**31 - 1, "status": "ok", "status_code": 200,
}  # fmt: skip


def test_fullest_row() -> None:
    one = event(**FULL)
    assert FULL.keys() | {"id", "kind", "operation", "actor_type", "at"} == set(COLUMNS)
    copy(one)
    assert back(one) == msgspec.structs.asdict(one)


@pytest.mark.parametrize("address", ["127.0.0.1", "255.255.255.255", "::1", "2001:db8::1", "fe80::ff:fe00:1"])
def test_address(address: str) -> None:
    assert round_trip(source_ip=address) == {"source_ip": address}


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(2000, 1, 1, tzinfo=UTC),
        datetime(2099, 2, 28, 23, 0, tzinfo=timezone(timedelta(hours=8))),
    ],
)
def test_time(moment: datetime) -> None:
    assert round_trip(at=moment, started_at=moment) == {"at": moment, "started_at": moment}


def test_nul_and_half_characters_are_replaced() -> None:
    assert round_trip(reason="a\x00b", client="\ud800") == {"reason": "a\ufffdb", "client": "?"}


def test_nul_in_json_is_replaced() -> None:
    assert round_trip(detail={"k\x00": ["\x00", {"x": "a\x00"}]})["detail"] == {"k\ufffd": ["\ufffd", {"x": "a\ufffd"}]}


def test_many_rows_in_one_copy() -> None:
    many = [event(request_id=str(number)) for number in range(1000)]
    copy(*many)
    assert set(Row.objects.values_list("id", flat=True)) == {one.id for one in many}


def test_no_rows() -> None:
    copy()
    assert not Row.objects.exists()


LEAVES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(max_size=50),
    detail=st.dictionaries(st.text(max_size=10), JSON, max_size=3),
    digest=st.binary(max_size=64),
)
def test_whatever_comes(text: str, detail: dict[str, Any], digest: bytes) -> None:
    came = round_trip(reason=text, detail=detail, input_digest=digest)
    assert came["reason"] == text.replace("\x00", "\ufffd")
    assert came["input_digest"] == digest
    if "\x00" not in str(detail) and "\\x00" not in str(detail):
        assert came["detail"] == detail


def test_template_packs_what_the_event_packs() -> None:
    one = event(**{**FULL, "project": "100 %b", "detail": {"of": "100 %s"}, "changes": None})
    fields = msgspec.structs.asdict(one)
    varying = ("id", "at", "parent_id", "detail", "status")
    template = RowTemplate({name: value for name, value in fields.items() if name not in varying})
    assert [name for run in template.varying for name in run] == [name for name in COLUMNS if name in varying]
    runs = (b"".join(pack_column(name, fields[name]) for name in run) for run in template.varying)
    assert template.pack(*runs) == pack_row(one)


def test_shortcuts_pack_what_the_columns_pack() -> None:
    one = event(**FULL)
    microseconds = [round(getattr(one, name).timestamp() * 1_000_000) for name in ("at", "started_at", "ended_at")]
    assert pack_instants(*microseconds) == b"".join(
        pack_column(name, getattr(one, name)) for name in ("at", "started_at", "ended_at")
    )
    assert pack_instants(*microseconds[:2], None) == pack_instants(*microseconds)[:-12] + pack_column("ended_at", None)
    assert pack_id(one.id.bytes) == pack_column("id", one.id)
    assert pack_id(None) == pack_column("parent_id", None)
    assert pack_int4s(7, 3) == pack_column("prompt_tokens", 7) + pack_column("completion_tokens", 3)
