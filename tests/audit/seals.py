"""Rows of two writers, and seals over them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from audit.checkpoints import write_checkpoint
from audit.models import Seal
from audit.sealer import seal_next, take_lease
from inference.contract.events import COPY_STATEMENT, Event, pack_copy, pack_row
from inference.contract.ids import uuid7


def event(writer: str, number: int, **fields: Any) -> Event:
    at = fields.pop("at", datetime.now(UTC) - timedelta(minutes=10) + timedelta(milliseconds=number))
    return Event(
        id=uuid7(), kind="outcome", operation="inference.chat", project="a", request_id=f"{writer}-{number}",
        writer=writer, writer_seq=number, actor_type="api_key", actor_id="k", actor_name="key", auth_method="key",
        target_type="route", target_id="chat", target_name="chat", at=at, started_at=at, ended_at=at,
        source_ip="10.0.0.1", host="h", source="gateway", client="openai/2", route="chat", model_version="m:v1",
        detail={"attempts": 1}, input_digest=bytes(range(32)), prompt_tokens=3, completion_tokens=number, status="ok",
        status_code=200, **fields,
    )  # fmt: skip


def write(*events: Event) -> None:
    """As the gateway does."""
    with connection.cursor() as cursor, cursor.copy(COPY_STATEMENT) as stream:
        stream.write(pack_copy(map(pack_row, events)))


def write_numbers(writer: str, *numbers: int) -> None:
    write(*(event(writer, number) for number in numbers))


def five_seals() -> None:
    """Of two writers, the third and the fifth signed; then two rows that no seal binds: 42."""
    for turn in range(5):
        for writer in ("w", 'odd"\\名'):
            write_numbers(writer, *range(turn * 4 + 1, turn * 4 + 5))
        seal()
        if turn in {2, 4}:
            write_checkpoint(timezone.now())
    write_numbers("w", 21, 22)


def seal(**options: Any) -> Seal | None:
    """All that there is, by the one sealer of the tests."""
    epoch = take_lease("tests")
    assert epoch is not None
    return seal_next(epoch, **options)
