"""Trying a route by hand: through the real gateway, with a key, limits and the register, like any other client."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from controlplane import actors
from controlplane.access.asking import standing_in
from controlplane.access.lookups import access
from controlplane.admin.base import may_somewhere
from controlplane.errors import Invalid, Refused
from controlplane.lifecycle import ReplicaState
from controlplane.models import Route, User
from controlplane.roles import Permission
from controlplane.views import playground_key

MOST_MESSAGES = 200
ROLES = frozenset({"system", "user", "assistant"})
TIMEOUT = httpx.Timeout(10, read=600)
# A new key reaches every gateway within a second; until then the answer is 401.
KEY_WAIT_SECONDS = 0.1
KEY_WAITS = 30


@require_GET
def page(request: HttpRequest) -> HttpResponse:
    if not may_somewhere(request, Permission.API_KEY_CREATE):
        raise PermissionDenied
    from django.contrib import admin  # noqa: PLC0415 - the site is made of this module

    mine = access(Route, standing_in(request))
    ready = set(
        mine.filter(targets__weight__gt=0, targets__deployment__replica_set__state=ReplicaState.READY)
        .values_list("name", flat=True)
    )  # fmt: skip
    routes = sorted(((it.name, it.name in ready) for it in mine), key=lambda it: (not it[1], it[0]))
    context = {
        **admin.site.each_context(request), "title": _("Playground"), "heading": _("Playground"), "routes": routes,
        "chosen": request.GET.get("route", ""), "gateway_url": settings.GATEWAY_URL,
    }  # fmt: skip
    return TemplateResponse(request, "console/playground.html", context)


@require_POST
def answer(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """The gateway's event stream for one question; a refusal before it is ``{"error": {"message"}}``."""
    if not isinstance(request.user, User) or not may_somewhere(request, Permission.API_KEY_CREATE):
        return _refused(_("You may not use the playground."), 403)
    try:
        body = read_body(request.body)
        actor = actors.from_request(request, source="ui")
        key = playground_key.key_for(request.user, standing_in(request), body["model"], actor)
    except Refused as error:
        return _refused(error.message, 400)
    headers = {"authorization": f"Bearer {key.token}", "x-request-id": actors.request_id(request)}
    stream = relay(body, headers, waits=KEY_WAITS if key.fresh else 0)
    response = StreamingHttpResponse(stream, content_type="text/event-stream")
    response["Cache-Control"] = "no-cache"
    response["X-Accel-Buffering"] = "no"
    return response


def _refused(message: str, status: int) -> JsonResponse:
    return JsonResponse({"error": {"message": message}}, status=status)


def read_body(raw: bytes) -> dict[str, Any]:
    """What goes to the gateway. Raises `Invalid` for anything but a route, messages and the two numbers."""
    try:
        sent = json.loads(raw)
        messages = [{"role": str(it["role"]), "content": str(it["content"])} for it in sent["messages"]]
        body: dict[str, Any] = {
            "model": str(sent["model"]),
            "messages": messages,
            "temperature": float(sent.get("temperature", 1)),
            "max_tokens": int(sent.get("max_tokens", 512)),
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as exc:
        raise Invalid(_("The question is not complete.")) from exc
    if not 0 < len(messages) <= MOST_MESSAGES or any(it["role"] not in ROLES for it in messages):
        raise Invalid(_("The question is not complete."))
    if not 0 <= body["temperature"] <= 2 or not 0 < body["max_tokens"] <= 100_000:
        raise Invalid(_("Temperature is 0 to 2, the longest answer 1 to 100,000 tokens."))
    return body | {"stream": True, "stream_options": {"include_usage": True}}


async def relay(body: dict[str, Any], headers: dict[str, str], *, waits: int) -> AsyncIterator[bytes]:
    """The gateway's bytes as they come, after one event that says who answers. Leaving it closes the upstream."""
    try:
        # No proxy of the environment: the gateway is ours, and the key must not travel.
        async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as client:
            while True:
                async with client.stream(
                    "POST", f"{settings.GATEWAY_URL}/v1/chat/completions", json=body, headers=headers
                ) as upstream:
                    if upstream.status_code != 401 or not waits:
                        async for chunk in _pass_on(upstream):
                            yield chunk
                        return
                waits -= 1
                await asyncio.sleep(KEY_WAIT_SECONDS)
    except httpx.HTTPError as exc:
        yield _event({"error": {"message": _("The gateway cannot be reached: %(why)s") % {"why": type(exc).__name__}}})


async def _pass_on(upstream: httpx.Response) -> AsyncIterator[bytes]:
    if upstream.status_code != 200:
        await upstream.aread()
        yield _event({"error": {"message": _message_of(upstream), "status": upstream.status_code}})
        return
    names = ("x-request-id", "x-signalbox-version", "x-signalbox-replica")
    yield _event({"signalbox": {name: upstream.headers.get(name, "") for name in names}})
    async for chunk in upstream.aiter_raw():
        yield chunk


def _message_of(upstream: httpx.Response) -> str:
    try:
        return str(upstream.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {upstream.status_code}"


def _event(payload: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(payload).encode() + b"\n\n"
