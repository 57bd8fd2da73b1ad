"""Writing the register from the control plane: one function, called by every action inside its transaction."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.utils import timezone
from django.utils.module_loading import import_string
from psycopg.types.json import Jsonb

from audit import numbering
from audit.operations import Operation
from inference.contract.events import COLUMNS, TABLE, Event
from inference.contract.ids import uuid7

Source = Literal["ui", "api", "cli", "worker"]
Kind = Literal["management", "security", "system"]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, from where and by what means. Copied as text into the register, so that a row outlives its actor."""

    type: Literal["user", "service_account", "system", "anonymous"]
    id: str
    name: str
    source: Source
    auth_method: str = ""
    ip: str | None = None
    client: str = ""
    request_id: str = ""
    ticket: str = ""
    """of the change or the incident that it is done for"""


@dataclass(frozen=True, slots=True)
class Target:
    """What was acted on, as text."""

    type: str
    id: str
    name: str


_REGION = os.environ.get("SIGNALBOX_REGION", "")


@cache
def _watch() -> Callable[[Operation, Actor, dict[str, Any] | None], None]:
    found: Callable[[Operation, Actor, dict[str, Any] | None], None] = import_string(settings.REGISTER_WATCH)
    return found


def record(
    operation: Operation,
    *,
    actor: Actor,
    target: Target,
    project: str = "",
    reason: str = "",
    changes: dict[str, Any] | None = None,
    detail: dict[str, Any] | None = None,
    kind: Kind = "management",
    status: str = "ok",
    using: str = DEFAULT_DB_ALIAS,
) -> Event:
    """Append one event in the current transaction: it is there if and only if the change it tells of is.

    `changes` maps a field to ``[before, after]`` and never holds a secret. Raises ValueError for an unregistered
    operation, and whatever `settings.REGISTER_WATCH` raises for an abnormal one. `using` is the connection that has the
    transaction: the owner's when what changes are tables.
    """
    connection = connections[using]
    _watch()(Operation(operation), actor, detail)
    numbered = numbering.next_number(connection)
    event = Event(
        id=uuid7(),
        kind=kind,
        operation=Operation(operation).value,
        project=project,
        request_id=actor.request_id,
        writer=numbered.writer,
        writer_seq=numbered.number,
        actor_type=actor.type,
        actor_id=actor.id,
        actor_name=actor.name,
        auth_method=actor.auth_method,
        target_type=target.type,
        target_id=target.id,
        target_name=target.name,
        changes=changes,
        at=timezone.now(),
        source_ip=actor.ip,
        host=numbering.HOST,
        region=_REGION,
        reason=reason,
        ticket=actor.ticket,
        source=actor.source,
        client=actor.client,
        detail=detail,
        status=status,
    )
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [_adapt(getattr(event, name)) for name in COLUMNS])
    numbered.stands_with(connection)
    return event


_INSERT = f"INSERT INTO {TABLE} ({', '.join(COLUMNS)}) VALUES ({', '.join(['%s'] * len(COLUMNS))})"  # nosec B608  # noqa: S608 - names of our own


def _adapt(value: Any) -> Any:
    return Jsonb(value) if isinstance(value, dict) else value
