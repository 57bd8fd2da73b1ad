"""The API's description: what drf-spectacular sees, completed by what all operations share."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.views.decorators.http import require_safe
from drf_spectacular.contrib.django_filters import DjangoFilterExtension
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema

from controlplane.api import idempotency, problems
from controlplane.api.authentication import BearerAuthentication, ConsoleSessionAuthentication
from controlplane.api.fields import LONGEST_REASON
from controlplane.api.preconditions import TICKET
from controlplane.text import LONGEST_TICKET, ONE_LINE

_METHODS = ("get", "post", "patch", "delete")
_ERRORS = {
    "400": "The request is malformed, or a value is wrong: `errors` names the fields.",
    "401": "No credential, or one that is unknown, expired or revoked.",
    "403": "The credential may not do this.",
    "404": "There is no such object, or no such page.",
    "406": "Only JSON is served.",
    "409": "It clashes with what is there.",
    "412": "`If-Match` names another state of the object; nothing was changed.",
    "413": "The body is too large.",
    "415": "The body is not application/json.",
    "429": "Too many requests: `Retry-After` says for how many seconds to wait.",
    "500": "Something went wrong; the logs know more under `request_id`.",
    "503": "The database does not answer.",
}
_ALWAYS = {"400", "401", "403", "406", "429", "500", "503"}
_PROBLEM = {
    "type": "object",
    "description": "RFC 9457. `code` is stable.",
    "required": ["type", "title", "status", "detail", "code", "errors", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "code", "message"],
                "properties": {name: {"type": "string"} for name in ("field", "code", "message")},
            },
        },
        "request_id": {"type": "string"},
    },
}
_IF_MATCH = {
    "name": "If-Match", "in": "header", "required": False,
    "schema": {"type": "string", "pattern": r'^(\*|"[!#-~]*"(, *"[!#-~]*")*)$'}, "example": "*",
    "description": "The ETag that the change is based on, in its quotes. 412 when the object has changed since.",
}  # fmt: skip
_IDEMPOTENCY_KEY = {
    "name": idempotency.HEADER, "in": "header", "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": idempotency.LONGEST, "pattern": "^[!-~]+$"},
    "description": "The same request with the same key within 24 hours is answered as the first time and changes "
    "nothing; another request with it gets 409.",
}  # fmt: skip
_REPLAYED = {"description": "`true`: this is an earlier answer.", "schema": {"type": "string", "enum": ["true"]}}
_ETAG = {"description": "For `If-Match`.", "schema": {"type": "string"}}
_REQUEST_ID = {"description": "The request's id, as in the register.", "schema": {"type": "string"}}


class _BearerScheme(OpenApiAuthenticationExtension):
    target_class = BearerAuthentication
    name = "bearer"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        del auto_schema
        text = "A management token (sbm_…), or an access token (a JWT) from /api/v1/auth/token."
        return {"type": "http", "scheme": "bearer", "description": text}


class _SessionScheme(OpenApiAuthenticationExtension):
    target_class = ConsoleSessionAuthentication
    name = "consoleSession"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        del auto_schema
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "signalbox_session_8000",
            "description": "The console's session (the name ends in its port). Changes need the header X-CSRFToken.",
        }


class FilterParameters(DjangoFilterExtension):
    """The filters of a view, and ``search`` where it has `search_fields`."""

    target_class = "controlplane.api.filters.QueryFilters"
    priority = 1

    def get_schema_operation_parameters(
        self, auto_schema: AutoSchema, *args: Any, **kwargs: Any
    ) -> list[dict[str, Any]]:
        filters: list[dict[str, Any]] = []
        if getattr(auto_schema.view, "filterset_class", None):
            filters = super().get_schema_operation_parameters(auto_schema, *args, **kwargs)  # type: ignore[no-untyped-call]
        for one in filters:
            if one["schema"] == {"type": "string"}:
                one["schema"] = {"type": "string", "minLength": 1, "pattern": ONE_LINE}
        if searched := getattr(auto_schema.view, "search_fields", ()):
            text = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": ONE_LINE}
            filters.append({"name": "search", "in": "query", "required": False, "schema": text,
                            "description": f"In {', '.join(searched)}."})  # fmt: skip
        return filters


_REMEMBERED_NOWHERE = "/bodies"
"""the end of the path whose answers are people's words"""


def complete(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's postprocessing hook: errors, headers and the parameters of changes."""
    components = result["components"]
    components["schemas"]["Problem"] = _PROBLEM
    components["responses"] = {f"Problem{status}": _response(text) for status, text in _ERRORS.items()}
    for path, method, operation in _operations(result):
        one = path.endswith("{id}")
        paged = any(parameter["name"] == "cursor" for parameter in operation.get("parameters", []))
        for status in sorted(_possible(method, missing="{id}" in path or paged, within="{id}" in path)):
            operation["responses"][status] = {"$ref": f"#/components/responses/Problem{status}"}
        signing_in = "/auth/" in path
        tagged = (one or method == "post") and not signing_in and not path.endswith(_REMEMBERED_NOWHERE)
        _add_headers(operation, tagged=tagged, audit="/audit/" in path)
        if method in {"post", "patch", "delete"} and "{id}" in path and not path.endswith(_REMEMBERED_NOWHERE):
            operation["parameters"] = [*operation.get("parameters", []), _IF_MATCH]
        if signing_in:
            operation["security"] = []  # the credential stands in the body
        elif method == "post" and not path.endswith(_REMEMBERED_NOWHERE):
            operation["parameters"] = [*operation.get("parameters", []), _IDEMPOTENCY_KEY]
            done = next(code for code in ("201", "200", "202") if code in operation["responses"])
            operation["responses"][done]["headers"][idempotency.REPLAYED] = _REPLAYED
        if method in {"post", "patch", "delete"} and not signing_in:
            operation["parameters"] = [*operation.get("parameters", []), _reason(required=method == "delete"), _TICKET]
    return result


def _operations(result: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in result["paths"].items():
        for method in _METHODS:
            if method in item:
                yield path, method, item[method]


def _possible(method: str, *, missing: bool, within: bool) -> set[str]:
    possible = set(_ALWAYS)
    if missing:
        possible.add("404")
    if method != "get":
        possible |= {"409", "413", "415"}
    if method in {"patch", "delete"} or (method == "post" and within):
        possible.add("412")
    return possible


def _response(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        "description": description,
        "headers": {"X-Request-ID": _REQUEST_ID},
        "content": {problems.CONTENT_TYPE: {"schema": schema}},
    }


def _add_headers(operation: dict[str, Any], *, tagged: bool, audit: bool) -> None:
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            etag = {"ETag": _ETAG} if tagged and not audit and status != "204" else {}
            response["headers"] = {"X-Request-ID": _REQUEST_ID, **etag}


def _reason(*, required: bool) -> dict[str, Any]:
    # What all clients can send; UTF-8 is understood as well.
    pattern = "^[!-~]([ -~]*[!-~])?$" if required else "^([!-~]([ -~]*[!-~])?)?$"
    text = {"type": "string", "maxLength": LONGEST_REASON, "pattern": pattern}
    return {"name": "X-Reason", "in": "header", "required": required, "schema": text,
            "description": "Why, in UTF-8; kept in the register. The body's `reason` comes before it."}  # fmt: skip


_TICKET: dict[str, Any] = {
    "name": TICKET, "in": "header", "required": False,
    "schema": {"type": "string", "maxLength": LONGEST_TICKET, "pattern": "^([!-~]([ -~]*[!-~])?)?$"},
    "description": "The change or incident that this is done for, in UTF-8; kept in the register.",
}  # fmt: skip


@cache
def document() -> bytes:
    """The description as JSON, in English, made once a process."""
    with translation.override("en"):
        schema = SchemaGenerator().get_schema(request=None, public=True)
    return json.dumps(schema, ensure_ascii=False).encode()


@require_safe
def openapi(request: HttpRequest) -> HttpResponse:
    """``GET /api/v1/openapi.json``, open to all: it holds nothing that the source does not."""
    del request
    return HttpResponse(document(), content_type="application/json")
