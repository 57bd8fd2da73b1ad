"""Cursor pages: ``{"next", "previous", "results"}``, in an order that rows added meanwhile cannot shift.

A cursor is the sort key and id of the last row seen, signed, so that only we write them. Each page costs one query.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.core import signing
from django.db.models import Model, Q, QuerySet
from django.utils.translation import gettext as _
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

DEFAULT_LIMIT = 50
HIGHEST_LIMIT = 200
PARAMETERS = {"limit", "cursor", "ordering"}
_SALT = "signalbox.api.cursor"
_FORM = r"^[A-Za-z0-9_:.-]+$"
_CURSOR = re.compile(_FORM)


@dataclass(frozen=True)
class Ordering:
    """`text` is what the client wrote; `column` must not be null."""

    text: str
    column: str
    descending: bool

    def columns(self, *, backwards: bool) -> list[str]:
        sign = "-" if self.descending != backwards else ""
        return [f"{sign}{column}" for column in dict.fromkeys((self.column, "id"))]

    def after(self, value: Any, pk: Any, *, backwards: bool) -> Q:
        """The rows behind one, written so that PostgreSQL can begin an index scan at it."""
        compare = "lt" if self.descending != backwards else "gt"
        if self.column == "id":
            return Q(**{f"id__{compare}": pk})
        behind = Q(**{f"{self.column}__{compare}": value}) | Q(**{f"id__{compare}": pk})
        return Q(**{f"{self.column}__{compare}e": value}) & behind


@dataclass(frozen=True)
class Cursor:
    ordering: str
    backwards: bool
    value: Any
    pk: Any

    def encode(self) -> str:
        values = [self.ordering, self.backwards, _as_text(self.value), str(self.pk)]
        return signing.Signer(salt=_SALT).sign_object(values)

    @classmethod
    def decode(cls, text: str, ordering: Ordering) -> "Cursor":
        """Raises NotFound for a cursor that we did not write, ValidationError for another ordering's or none at all."""
        if not _CURSOR.fullmatch(text):
            raise _invalid("cursor", _("Expected a cursor from next or previous."))
        try:
            cursor = cls(*signing.Signer(salt=_SALT).unsign_object(text))
        except (signing.BadSignature, ValueError, TypeError) as exc:
            message = _("There is no such page: take the cursor from next or previous.")
            raise NotFound(message, code="unknown_cursor") from exc
        if cursor.ordering != ordering.text:
            raise _invalid("cursor", _("The cursor belongs to another ordering."))
        return cursor


def _as_text(value: Any) -> str:
    return str(value.isoformat() if hasattr(value, "isoformat") else value)


class CursorPages(BasePagination):
    """Pages for views with `ordering_fields` (what clients write -> column) and `default_ordering`."""

    def paginate_queryset(self, queryset: QuerySet[Any], request: Request, view: Any = None) -> list[Any]:
        params = request.query_params
        self.request = request
        self.limit = _limit(params.get("limit"))
        self.ordering = _ordering(params.get("ordering"), view)
        cursor = Cursor.decode(params["cursor"], self.ordering) if "cursor" in params else None
        self.backwards = bool(cursor and cursor.backwards)
        if cursor:
            queryset = queryset.filter(self.ordering.after(cursor.value, cursor.pk, backwards=self.backwards))
        rows = list(queryset.order_by(*self.ordering.columns(backwards=self.backwards))[: self.limit + 1])
        self.more = len(rows) > self.limit
        self.begun = cursor is not None
        self.rows = rows[: self.limit]
        if self.backwards:
            self.rows.reverse()
        return self.rows

    def get_paginated_response(self, data: Sequence[Any]) -> Response:
        forward = self.backwards or self.more
        back = self.more if self.backwards else self.begun
        return Response({
            "next": self._link(self.rows[-1], backwards=False) if self.rows and forward else None,
            "previous": self._link(self.rows[0], backwards=True) if self.rows and back else None,
            "results": data,
        })  # fmt: skip

    def _link(self, row: Model, *, backwards: bool) -> str:
        cursor = Cursor(self.ordering.text, backwards, getattr(row, self.ordering.column), row.pk)
        params = self.request.query_params.dict() | {"cursor": cursor.encode()}
        return self.request.build_absolute_uri(f"{self.request.path}?{urlencode(params)}")

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        orderings = [sign + name for name in view.ordering_fields for sign in ("", "-")]
        number = {"type": "integer", "minimum": 1, "maximum": HIGHEST_LIMIT, "default": DEFAULT_LIMIT}
        return [
            _parameter("limit", number, "How many at most."),
            _parameter(
                "cursor",
                {"type": "string", "pattern": _FORM},
                "From next or previous; the other parameters stay as they were.",
            ),
            _parameter(
                "ordering", {"type": "string", "enum": orderings, "default": view.default_ordering}, "The order."
            ),
        ]


def _parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= HIGHEST_LIMIT:
        return int(text)
    raise _invalid("limit", _("Expected a whole number from 1 to %(most)d.") % {"most": HIGHEST_LIMIT})


def _ordering(text: str | None, view: Any) -> Ordering:
    text = view.default_ordering if text is None else text
    column = view.ordering_fields.get(text.removeprefix("-"))
    if column is None:
        raise _invalid(
            "ordering", _("Expected one of: %(names)s.") % {"names": ", ".join(sorted(view.ordering_fields))}
        )
    return Ordering(text, column, text.startswith("-"))


def _invalid(field: str, message: str) -> ValidationError:
    return ValidationError({field: [message]})
