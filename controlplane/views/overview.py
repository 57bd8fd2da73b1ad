"""The first page: what runs, how the last hour went, what happened last, what to do next."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from audit.models import Event
from controlplane.admin.deployments import deployment_state, ready_of
from controlplane.models import ApiKey, Deployment, Model, Route

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
    return context | {"heading": context["title"]} | live_context(request) | {
        "gateway_url": settings.GATEWAY_URL,
        "example_route": Route.objects.values_list("name", flat=True).first() or "",
        "steps": next_steps(),
    }  # fmt: skip


def live(request: HttpRequest) -> HttpResponse:
    """The changing part of the page alone."""
    return TemplateResponse(request, "console/overview_live.html", live_context(request))


def live_context(request: HttpRequest) -> dict[str, Any]:
    deployments = Deployment.objects.select_related("version__model", "status")[:DEPLOYMENTS_SHOWN]
    whole = bool(getattr(request.user, "is_superuser", False))
    return {
        "deployments": [(it, deployment_state(it), ready_of(it)) for it in deployments],
        "hour": cache.get_or_set("overview.hour", last_hour, KEPT_SECONDS) if whole else None,
        "events": last_events() if whole else [],
    }


def last_events() -> Any:
    """What people and the system did last, among the newest `EVENTS_SEARCHED` entries; requests are not listed."""
    newest = Event.objects.order_by("-at", "-id").values("at")[EVENTS_SEARCHED : EVENTS_SEARCHED + 1]
    events = Event.objects.filter(kind__in=("management", "security", "system"))
    if edge := newest.first():
        events = events.filter(at__gt=edge["at"])
    return events.order_by("-at", "-id")[:EVENTS_SHOWN]


_COUNT = """
SELECT count(*), count(*) FILTER (WHERE status NOT IN ('ok', 'client_closed')),
       coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0)
FROM (SELECT status, prompt_tokens, completion_tokens FROM audit_event
      WHERE at >= %s AND kind = 'outcome' LIMIT %s) AS recent
"""


def last_hour() -> dict[str, Any]:
    """Requests, share of errors and tokens of the last hour, over at most `MOST_ROWS` of them."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, [timezone.now() - WINDOW, MOST_ROWS])
        requests, errors, prompt, completion = cursor.fetchone()
    return {
        "requests": requests,
        "more": requests == MOST_ROWS,
        "error_percent": round(100 * errors / requests, 1) if requests else None,
        "prompt_tokens": prompt,
        "completion_tokens": completion,
    }


def next_steps() -> list[str]:
    """What is still missing before a client gets an answer, in the order to do it."""
    missing = []
    if not Model.objects.exists():
        missing.append("model")
    if not Deployment.objects.filter(deleted_at=None).exists():
        missing.append("deployment")
    if not Route.objects.exists():
        missing.append("route")
    if not ApiKey.objects.usable().exists():
        missing.append("key")
    return missing
