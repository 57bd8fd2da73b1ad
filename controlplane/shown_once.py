"""Secrets that are shown once: kept in the session from the POST that made them to the page that shows them.

So a reload of that page makes no second secret, and its address shows nothing to whoever finds it in a history. The
session is encrypted under the browser's cookie (`controlplane.sessions`), so the database holds nothing readable.
"""

import secrets
from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

KEY = "signalbox_shown_once"
KEPT = timedelta(minutes=10)
MOST = 5
"""at a time; a browser that leaves more of them unread loses the oldest"""


def keep(request: HttpRequest, context: dict[str, Any]) -> HttpResponseRedirect:
    """Keep what the page is to show (plain values, `secret` among them), and lead there."""
    waiting = dict(list(_waiting(request).items())[1 - MOST :])
    ticket = secrets.token_urlsafe(16)
    request.session[KEY] = waiting | {ticket: context | {"until": (timezone.now() + KEPT).timestamp()}}
    return HttpResponseRedirect(reverse("admin:shown_once", args=[ticket]))


@require_GET
def page(request: HttpRequest, ticket: str) -> TemplateResponse:
    """The secret, this once. Afterwards only that it was shown."""
    from django.contrib import admin  # noqa: PLC0415 - the site is made of this module

    waiting = _waiting(request)
    context = waiting.pop(ticket, None)
    request.session[KEY] = waiting
    whole = admin.site.each_context(request)
    if context is None:
        whole |= {"title": _("Shown already"), "heading": _("Shown already")}
        return TemplateResponse(request, "console/shown_already.html", whole, status=410)
    return TemplateResponse(request, "console/secret.html", {**whole, "title": context["heading"], **context})


def _waiting(request: HttpRequest) -> dict[str, dict[str, Any]]:
    now = timezone.now().timestamp()
    kept: dict[str, dict[str, Any]] = request.session.get(KEY, {})
    return {ticket: context for ticket, context in kept.items() if context["until"] > now}
