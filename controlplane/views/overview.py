"""The first page: what runs, how the last hour went, what happened last, what to do next."""

import hashlib
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db import connection, models
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from audit import guard
from audit.models import Event
from controlplane.access.asking import standing_in
from controlplane.access.lookups import access
from controlplane.admin.deployments import deployment_state, ready_of
from controlplane.models import ApiKey, Deployment, Model, Route
from controlplane.roles import Permission, Reach, Standing, reach

DEPLOYMENTS_SHOWN = 50
EVENTS_SHOWN = 8
EVENTS_SEARCHED = 5_000
WINDOW = timedelta(hours=1)
MOST_ROWS = 100_000
"""counted at most: a busier hour is shown as “more than”; the page stays quick"""
KEPT_SECONDS = 10
"""however many people look, the hour is counted once in this time"""


def show(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's dashboard callback."""
    standing = standing_in(request)
    return context | {"heading": context["title"]} | live_context(request) | {
        "gateway_url": settings.GATEWAY_URL,
        "may_call": bool(reach(standing, Permission.ROUTE_READ)),
        "example_route": access(Route, standing).values_list("name", flat=True).first() or "",
        "steps": next_steps(standing),
        "holds_nothing": not standing.superuser and not standing.grants,
    }  # fmt: skip


def live(request: HttpRequest) -> HttpResponse:
    """The changing part of the page alone."""
    return TemplateResponse(request, "console/overview_live.html", live_context(request))


def live_context(request: HttpRequest) -> dict[str, Any]:
    standing = standing_in(request)
    deployments = access(Deployment, standing).select_related("version__model", "status")[:DEPLOYMENTS_SHOWN]
    audits = guard.may_read(request)
    return {
        "deployments": [(it, deployment_state(it), ready_of(it)) for it in deployments],
        "may_see_deployments": bool(reach(standing, Permission.DEPLOYMENT_READ)),
        "hour": _hour(standing) if audits else None,
        "events": last_events(guard.readable(request)) if audits else [],
    }


def last_events(readable: QuerySet[Event]) -> QuerySet[Event]:
    """What people and the system did last, among the newest `EVENTS_SEARCHED` entries; requests are not listed."""
    newest = readable.order_by("-at", "-id").values("at")[EVENTS_SEARCHED : EVENTS_SEARCHED + 1]
    events = readable.filter(kind__in=("management", "security", "system"))
    if edge := newest.first():
        events = events.filter(at__gt=edge["at"])
    return events.order_by("-at", "-id")[:EVENTS_SHOWN]


_COUNT = """
SELECT count(*), count(*) FILTER (WHERE status NOT IN ('ok', 'client_closed')),
       coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0)
FROM (SELECT status, prompt_tokens, completion_tokens FROM audit_event
      WHERE at >= %(since)s AND kind = 'outcome' AND (%(everything)s OR project = ANY(%(names)s))
      LIMIT %(most)s) AS recent
"""


def _hour(standing: Standing) -> dict[str, Any]:
    """Remembered under the projects it was counted over: who reads others is never told these numbers."""
    held = reach(standing, Permission.AUDIT_READ)
    names = "*" if held.everything else ",".join(sorted(held.names))
    place = f"overview.hour.{hashlib.sha256(names.encode()).hexdigest()}"
    hour: dict[str, Any] = cache.get_or_set(place, lambda: last_hour(held), KEPT_SECONDS)  # type: ignore[assignment]
    return hour


def last_hour(held: Reach) -> dict[str, Any]:
    """Requests, share of errors and tokens of the last hour, over at most `MOST_ROWS` of them."""
    bounds: dict[str, Any] = {"since": timezone.now() - WINDOW, "most": MOST_ROWS}
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, {**bounds, "everything": held.everything, "names": sorted(held.names)})
        requests, errors, prompt, completion = cursor.fetchone()
    return {
        "requests": requests,
        "more": requests == MOST_ROWS,
        "error_percent": round(100 * errors / requests, 1) if requests else None,
        "prompt_tokens": prompt,
        "completion_tokens": completion,
    }


_STEPS: tuple[tuple[str, type[models.Model], Permission, dict[str, Any]], ...] = (
    ("model", Model, Permission.MODEL_CREATE, {}),
    ("deployment", Deployment, Permission.DEPLOYMENT_CREATE, {"deleted_at": None}),
    ("route", Route, Permission.ROUTE_CREATE, {}),
    ("key", ApiKey, Permission.API_KEY_CREATE, {"revoked_at": None}),
)


def next_steps(standing: Standing) -> list[str]:
    """What the person can do towards the first answer, in the order to do it: all steps that lack what they make."""
    return [
        step for step, noun, permission, which in _STEPS
        if reach(standing, permission) and not access(noun, standing).filter(**which).exists()
    ]  # fmt: skip
