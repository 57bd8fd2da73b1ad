"""Every error as problem+json (RFC 9457). The one place where exceptions become status codes.

    NotAllowed 403 · Conflict 409 · Invalid 400 · Stale 412 · too often 429 · DRF's own as they are ·
    database away 503 · the rest 500

`code` is stable; `detail` and `errors[].message` are for people and in their language. No trace and no SQL ever leaves.
"""

import logging
import math
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views import defaults
from psycopg.errors import QueryCanceled
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import set_rollback

from controlplane import actors, errors
from controlplane.actions.suspend_actor import suspend_actor
from controlplane.api import throttling
from controlplane.guard import Abnormal

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
_TURNED_AWAY = (exceptions.AuthenticationFailed, exceptions.NotAuthenticated, errors.NotAllowed)
STATUS = {errors.NotAllowed: 403, errors.Conflict: 409, errors.Invalid: 400, errors.Refused: 409}


def handle(exc: Exception, context: dict[str, Any]) -> Response:
    """DRF's exception handler."""
    request = context["request"]
    set_rollback()
    if isinstance(exc, Abnormal):
        suspend_actor(exc.actor, verdict=exc.verdict)
    problem, headers = _describe(_limited(exc, request))
    if problem["status"] >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("%s %s: %s", request.method, request.path, exc, exc_info=exc)
    problem["request_id"] = actors.request_id(request._request)  # noqa: SLF001 - the id hangs on Django's request
    return Response(problem, status=problem["status"], headers=headers, content_type=CONTENT_TYPE)


def _limited(exc: Exception, request: Request) -> Exception:
    """The exception, or that whoever is turned away comes back too often."""
    if isinstance(exc, _TURNED_AWAY):
        try:
            throttling.check_refused(request)
        except exceptions.Throttled as throttled:
            return throttled
    return exc


def _describe(exc: Exception) -> tuple[dict[str, Any], dict[str, str]]:
    if isinstance(exc, errors.Refused):
        return _refused(exc), {}
    if isinstance(exc, Http404):
        exc = exceptions.NotFound()
    elif isinstance(exc, PermissionDenied):
        exc = exceptions.PermissionDenied()
    if isinstance(exc, exceptions.APIException):
        return _from_drf(exc), _headers(exc)
    if isinstance(exc, RequestDataTooBig):
        return _problem(413, "too_large", _("The body is too large.")), {}
    if isinstance(exc.__cause__, QueryCanceled):
        return _problem(503, "query_timed_out", _("The query took too long: narrow it, in time first.")), {}
    if isinstance(exc, OperationalError | InterfaceError):
        return _problem(503, "database_unavailable", _("The database does not answer.")), {"Retry-After": "5"}
    detail = _("The database refused the request.") if isinstance(exc, DatabaseError) else _("Something went wrong.")
    return _problem(500, "internal_error", detail), {}


def _refused(exc: errors.Refused) -> dict[str, Any]:
    status = next(status for kind, status in STATUS.items() if isinstance(exc, kind))
    field = getattr(exc, "field", "")
    named = [{"field": field, "code": exc.code, "message": exc.message}] if field else []
    return _problem(status, exc.code, exc.message, named)


def _from_drf(exc: exceptions.APIException) -> dict[str, Any]:
    if isinstance(exc, exceptions.Throttled):
        return _problem(exc.status_code, "rate_limited", _("Too many requests: wait as long as Retry-After says."))
    if not isinstance(exc, exceptions.ValidationError):
        return _problem(exc.status_code, str(exc.get_codes()), str(exc.detail))
    named = list(_named(exc.get_full_details(), ""))
    detail = "; ".join(
        f"{error['field']}: {error['message']}" if error["field"] else error["message"] for error in named
    )
    return _problem(exc.status_code, "invalid", detail, named)


def _headers(exc: exceptions.APIException) -> dict[str, str]:
    headers = {}
    if challenge := getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(exc, "wait", None):
        headers["Retry-After"] = str(math.ceil(wait))
    return headers


def _named(details: Any, place: str) -> Iterator[dict[str, str]]:
    """DRF's nested details as one flat list: ``targets[0].weight``."""
    if isinstance(details, list):
        plain = all(_is_leaf(item) for item in details)
        for index, item in enumerate(details):
            yield from _named(item, place if plain else f"{place}[{index}]")
    elif _is_leaf(details):
        yield {"field": place, "code": str(details["code"]), "message": str(details["message"])}
    else:
        for name, item in details.items():
            yield from _named(item, _inner(place, name))


def _inner(place: str, name: str | int) -> str:
    if isinstance(name, int):
        return f"{place}[{name}]"
    return place if name == "non_field_errors" else f"{place}.{name}".lstrip(".")


def _is_leaf(details: Any) -> bool:
    return isinstance(details, dict) and details.keys() == {"code", "message"} and isinstance(details["message"], str)


def _problem(status: int, code: str, detail: str, named: list[dict[str, str]] | None = None) -> dict[str, Any]:
    return {
        "type": f"urn:signalbox:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "errors": named or [],
    }


def _outside(request: HttpRequest, status: int, code: str, detail: str) -> HttpResponse:
    problem = _problem(status, code, detail) | {"request_id": actors.request_id(request)}
    return JsonResponse(problem, status=status, content_type=CONTENT_TYPE)


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400: what is refused before a view is reached."""
    if not _is_api(request):
        return defaults.bad_request(request, exception)
    return _outside(request, 400, "bad_request", _("The request is malformed."))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403."""
    if not _is_api(request):
        return defaults.permission_denied(request, exception)
    return _outside(request, 403, "permission_denied", _("You may not do this."))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404."""
    if not _is_api(request):
        return defaults.page_not_found(request, exception)
    return _outside(request, 404, "not_found", _("There is nothing here."))


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500; Django has logged the exception."""
    if not _is_api(request):
        return defaults.server_error(request)
    return _outside(request, 500, "internal_error", _("Something went wrong."))
