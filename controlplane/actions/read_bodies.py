import hashlib
from enum import StrEnum
from typing import NamedTuple

from django.db import transaction

from audit import bodies
from audit.models import Event
from audit.operations import Operation
from audit.record import Actor, Target, record
from controlplane.actions.base import require_reason
from controlplane.body_keys import private_of
from controlplane.models import BodyKey, Project
from controlplane.permissions import Permission, require
from controlplane.sealing import Unopenable
from inference.contract.bodies import FULL, INPUT, Unreadable, decrypt


class Condition(StrEnum):
    """What can be read of a body, and why not."""

    READABLE = "readable"
    ERASED = "erased"
    UNREADABLE = "unreadable"


class Read(NamedTuple):
    """One side of a request, opened."""

    side: str
    condition: Condition
    text: str
    """empty unless readable"""
    mode: str
    data_domain: str
    size: int
    truncated: bool
    matches_digest: bool | None
    """of a whole body, whether it is what the event's digest says; None where that cannot be told"""


@transaction.atomic
def read_bodies(event: Event, *, actor: Actor, reason: str) -> list[Read]:
    """Open what is kept of a request. Each look is an event of its own, committed before anybody sees a letter."""
    project = Project.objects.filter(name=event.project).first()
    require(actor, Permission.AUDIT_BODY_READ, project)
    require_reason(reason)
    found = [_read(body, event) for body in bodies.of_event(event)]
    record(
        Operation.BODY_READ, actor=actor, target=Target("event", str(event.pk), event.operation), kind="security",
        project=event.project, reason=reason,
        detail={"request_id": event.request_id, "bodies": {body.side: body.condition.value for body in found}},
    )  # fmt: skip
    return found


def _read(body: bodies.Stored, event: Event) -> Read:
    condition, content = opened(body)
    matches = None
    if condition is Condition.READABLE and body.mode == FULL and not body.truncated:
        digest = event.input_digest if body.side == INPUT else event.output_digest
        matches = None if digest is None else hashlib.sha256(content).digest() == bytes(digest)
    text = content.decode("utf-8", "replace")
    return Read(
        body.side, condition, text, body.mode, body.data_domain, body.size, body.truncated, matches
    )  # fmt: skip


def opened(body: bodies.Stored) -> tuple[Condition, bytes]:
    """Whether it can be read, and its content if so."""
    pair = BodyKey.objects.filter(pk=body.key_id, project__name=body.project).first()
    if pair is None:
        return Condition.UNREADABLE, b""
    if pair.shredded_at is not None:
        return Condition.ERASED, b""
    try:
        return Condition.READABLE, decrypt(body.sealed, body.place, private_of(pair))
    except (Unopenable, Unreadable):
        return Condition.UNREADABLE, b""
