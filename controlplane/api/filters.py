"""What a list may be asked: its own filters and a search.

What is not understood is refused and never ignored: a filter that is passed over shows more than was asked for.
"""

from collections.abc import Set
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Model, Q, QuerySet, Value
from django.db.models.functions import Upper
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django_filters import BooleanFilter, ChoiceFilter, Filter, IsoDateTimeFilter
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from controlplane.api.pagination import PARAMETERS
from controlplane.moments import has_known_offset
from controlplane.text import unusable_character

LONGEST_SEARCH = 200


class QueryFilters(DjangoFilterBackend):
    """The view's `filterset_class`, and ``?search=`` over its `search_fields`.

    A filterset that has a ``search`` of its own answers it itself.

    A view whose rows hold all of them together, in upper case, names that column as `searched`.
    """

    def filter_queryset(self, request: Request, queryset: QuerySet[Model], view: Any) -> QuerySet[Model]:
        search_fields: tuple[str, ...] = getattr(view, "search_fields", ())
        own = {"search"} if search_fields else set()
        filterset_class = self.get_filterset_class(view, queryset)
        filters = filterset_class.base_filters if filterset_class else {}
        refuse_unknown(request, own | set(filters) | PARAMETERS)
        for name in request.query_params:
            _check_form(name, request.query_params[name], filters.get(name))
        queryset = super().filter_queryset(request, queryset, view)
        search = request.query_params.get("search", "")
        if len(search) > LONGEST_SEARCH:
            raise ValidationError({"search": [_("Expected at most %(most)d characters.") % {"most": LONGEST_SEARCH}]})
        if not search or "search" in filters:
            return queryset
        if column := getattr(view, "searched", ""):
            return queryset.filter(**{f"{column}__contains": Upper(Value(search))})
        return queryset.filter(reduce(or_, (Q(**{f"{field}__icontains": search}) for field in search_fields)))

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """Left to drf-spectacular's own extension; see `schema` for ``search``."""
        return []


def refuse_unknown(request: Request, known: Set[str]) -> None:
    """Raise ValidationError for a parameter that is not `known`, stands twice, is empty or holds what no text may."""
    for name, values in request.query_params.lists():
        if name not in known:
            raise ValidationError({name: [_("Unknown parameter.")]}, code="unknown_parameter")
        if len(values) > 1:
            raise ValidationError({name: [_("Expected once.")]}, code="repeated_parameter")
        if not values[0]:
            raise ValidationError({name: [_("Expected a value.")]}, code="blank")
        if character := unusable_character(values[0]):
            raise ValidationError({name: [_("The character %(which)s is not allowed.") % {"which": character}]})


def _check_form(name: str, text: str, of: Filter | None) -> None:
    """django-filter takes what it cannot read as a flag for no filter, and a time without an offset for some zone's."""
    if isinstance(of, BooleanFilter) and text not in {"true", "false"}:
        raise ValidationError({name: [_("Expected true or false.")]})
    if isinstance(of, ChoiceFilter) and text not in (names := [str(value) for value, _label in of.extra["choices"]]):
        raise ValidationError({name: [_("Expected one of: %(names)s.") % {"names": ", ".join(names)}]})
    if isinstance(of, IsoDateTimeFilter) and not _is_moment(text):
        raise ValidationError({name: [_("Expected a time with offset, such as 2027-01-31T08:00:00+08:00.")]})


def _is_moment(text: str) -> bool:
    try:
        moment = parse_datetime(text)
    except ValueError:
        return False
    return moment is not None and has_known_offset(moment)
