"""A request's whole story from its entries: asked, limits, routing, replica, outcome. Pure, but for `of_request`."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from audit.models import Event

LONGEST_STORY = 50
"""entries of one request: an id that a client sends again and again makes no page without end"""


class Stage(StrEnum):
    """Where in its life a request is."""

    INTENT = "intent"
    LIMITS = "limits"
    ROUTING = "routing"
    REPLICA = "replica"
    OUTCOME = "outcome"
    CHANGE = "change"
    """what the control plane wrote"""


NAMES = {
    Stage.INTENT: _("Asked"), Stage.LIMITS: _("Limits"), Stage.ROUTING: _("Routing"), Stage.REPLICA: _("Replica"),
    Stage.OUTCOME: _("Outcome"), Stage.CHANGE: _("Change"),
}  # fmt: skip


class Step(NamedTuple):
    """One step; `facts` are plain values by name, none of them empty."""

    stage: Stage
    at: datetime
    event: Event
    facts: dict[str, Any]

    @property
    def name(self) -> Any:
        return NAMES[self.stage]


def of_request(events: QuerySet[Event], request_id: str) -> list[Event]:
    """Those of the events that belong to a request, the oldest first."""
    return list(events.filter(request_id=request_id).order_by("at", "id")[:LONGEST_STORY])


def tell(events: Iterable[Event]) -> list[Step]:
    """The steps of all entries, in the order in which they happened.

    An answer that was soon there has no entry of its own for being asked: its outcome tells that, too.
    """
    events = list(events)
    asked = {event.pk for event in events if event.kind == Event.Kind.INTENT}
    return [step for event in events for step in _steps(event, asked)]


def _steps(event: Event, asked: set[Any]) -> list[Step]:
    if event.source != "gateway":
        return [_step(Stage.CHANGE, event.at, event, operation=event.operation, target=event.target_name,
                      reason=event.reason, status=event.status)]  # fmt: skip
    if event.kind == Event.Kind.INTENT:
        return [_asked(event)]
    first = [] if event.parent_id in asked else [_asked(event)]
    return [*first, *_decisions(event), _outcome(event)]


def _asked(event: Event) -> Step:
    return _step(
        Stage.INTENT, event.started_at or event.at, event, operation=event.operation, route=event.route,
        actor=event.actor_name, address=event.source_ip, client=event.client,
    )  # fmt: skip


def _decisions(event: Event) -> list[Step]:
    """What the gateway decided; it notes the reasons with the outcome."""
    detail, began = event.detail or {}, event.started_at or event.at
    steps = [
        _step(Stage.LIMITS, began, event, applied=detail.get("limits")),
        _step(Stage.ROUTING, began, event, reason=detail.get("routing"), rule=detail.get("rule"),
              deployment=detail.get("deployment"), model_version=event.model_version),
        _step(Stage.REPLICA, began, event, replica=event.replica, attempts=detail.get("attempts")),
    ]  # fmt: skip
    return [step for step in steps if step.facts and (step.stage != Stage.REPLICA or event.replica)]


def _outcome(event: Event) -> Step:
    began, ended = event.started_at, event.ended_at
    milliseconds = round((ended - began).total_seconds() * 1000) if began and ended else None
    return _step(
        Stage.OUTCOME, event.at, event, status=event.status, status_code=event.status_code,
        milliseconds=milliseconds, prompt_tokens=event.prompt_tokens, completion_tokens=event.completion_tokens,
    )  # fmt: skip


def _step(stage: Stage, at: datetime, event: Event, **facts: Any) -> Step:
    return Step(stage, at, event, {name: value for name, value in facts.items() if value not in (None, "", {}, [])})
