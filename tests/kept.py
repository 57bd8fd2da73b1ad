"""Contents in the register as a gateway would have left them."""

import hashlib
from typing import Any

from django.db import connection

from audit.models import Event
from audit.operations import Operation
from audit.record import Actor, Target, record
from controlplane.models import BodyKey
from inference.contract import bodies
from inference.contract.ids import uuid7

QUESTION, ANSWER = '{"messages": ["call 13800138000"]}', '{"choices": []}'


def request_of(pair: BodyKey, mode: str = "full", **fields: Any) -> Event:
    """The outcome of a request whose both sides were kept for the owner of the key."""
    outcome = event(pair.project.name, mode)
    keep(outcome, pair, "input", QUESTION, mode=mode, **fields)
    keep(outcome, pair, "output", ANSWER, mode=mode, **fields)
    return outcome


def event(project: str, mode: str = "full") -> Event:
    """In the register by its own writer, with the digests of both sides."""
    actor = Actor(type="system", id="test", name="test", source="cli")
    made = record(
        Operation.INFERENCE_CHAT, actor=actor, target=Target("route", "smol", "smol"), project=project,
        detail={"kept": mode},
    )  # fmt: skip
    found = Event.objects.get(pk=made.id)
    found.input_digest = hashlib.sha256(QUESTION.encode()).digest()
    found.output_digest = hashlib.sha256(ANSWER.encode()).digest()
    return found


def keep(
    event: Event, pair: BodyKey, side: str, text: str, *, mode: str = "full", truncated: bool = False, **fields: Any
) -> None:
    place = bodies.Place(event.pk.bytes, side, event.project, str(pair.pk))
    row = {
        "id": uuid7(), "at": event.at, "event_id": event.pk, "project": event.project, "side": side,
        "data_domain": pair.project.data_domain, "mode": mode, "key_id": str(pair.pk), "size": len(text),
        "truncated": truncated, "sealed": bodies.encrypt(text.encode(), place, bytes(pair.public)), **fields,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {bodies.ROWS} ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})", list(row.values())
        )
