"""Strict fields: nothing is converted silently, and an error names the expected type."""

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Generic, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_lazy as _
from drf_spectacular.extensions import OpenApiSerializerExtension, OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from controlplane.access.asking import standing_in
from controlplane.access.lookups import access
from controlplane.moments import has_known_offset, is_within_years
from controlplane.roles import Standing
from controlplane.text import ONE_LINE, PARAGRAPHS, unusable_character

LONGEST_REASON = 500
_M = TypeVar("_M", bound=Model)


class Text(serializers.CharField):
    """A text without control characters; `paragraphs` allows line breaks.

    `pattern` is for the description only: the model or the action checks it, and says it better.
    """

    default_error_messages = {
        "invalid": _("Expected a text."),
        "unusable": _("The character {character} is not allowed."),
    }

    def __init__(self, *, paragraphs: bool = False, pattern: str = "", **kwargs: Any) -> None:
        self.paragraphs = paragraphs
        self.pattern = pattern or (PARAGRAPHS if paragraphs else ONE_LINE)
        super().__init__(trim_whitespace=False, **kwargs)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        if data is not serializers.empty and data is not None and not isinstance(data, str):
            self.fail("invalid")
        return super().run_validation(data)

    def to_internal_value(self, data: Any) -> str:
        if character := unusable_character(data, paragraphs=self.paragraphs):
            self.fail("unusable", character=character)
        return super().to_internal_value(data)


class Whole(serializers.IntegerField):
    """A whole number; ``"5"``, ``5.5`` and ``true`` are none."""

    default_error_messages = {"invalid": _("Expected a whole number.")}

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return int(data)


class Number(serializers.FloatField):
    """A number, whole or not; ``"0.5"`` and ``true`` are none."""

    default_error_messages = {"invalid": _("Expected a number.")}

    def to_internal_value(self, data: Any) -> float:
        try:
            number = float(data) if isinstance(data, int | float) and not isinstance(data, bool) else math.nan
        except OverflowError:
            number = math.nan
        if not math.isfinite(number):
            self.fail("invalid")
        return number


class Flag(serializers.BooleanField):
    """true or false and nothing that merely resembles them."""

    default_error_messages = {"invalid": _("Expected true or false.")}

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid")
        return data


@extend_schema_field(OpenApiTypes.DATETIME)
class Moment(serializers.Field[datetime, str, str, Any]):
    """An RFC 3339 time with its offset."""

    default_error_messages = {
        "invalid": _("Expected a time with offset, such as 2027-01-31T08:00:00+08:00."),
        "far": _("Expected a time from 0001-01-02 to 9999-12-30."),
    }  # fmt: skip

    def to_internal_value(self, data: Any) -> datetime:
        try:
            moment = parse_datetime(data) if isinstance(data, str) else None
        except ValueError:
            moment = None
        if moment is None or not has_known_offset(moment):
            self.fail("invalid")
        if not is_within_years(moment):
            self.fail("far")
        return moment

    def to_representation(self, value: datetime) -> str:
        return value.isoformat()


class Choice(serializers.ChoiceField):
    """One of the given texts."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid_choice", input=data)
        return str(super().to_internal_value(data))


class Object(serializers.DictField):
    """A JSON object."""

    default_error_messages = {"not_a_dict": _("Expected an object.")}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(child=serializers.JSONField(), **kwargs)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, Mapping):
            self.fail("not_a_dict", input_type=type(data).__name__)
        return dict(data)


@extend_schema_field({"type": "string", "minLength": 1, "pattern": ONE_LINE})
class Reference(serializers.Field[Any, str, str, Any], Generic[_M]):
    """Another object, by its name or its id. In answers it is the name. One that may not be seen is not there.

    `names` are the look-ups that a name's parts, split at colons, are compared with: ``("model__name", "name")``;
    `fetched` is joined; `among` gives the rows to choose from, by default all that may be seen.
    """

    default_error_messages = {
        "invalid": _("Expected a name or an id."),
        "unknown": _("There is no such object."),
        "ambiguous": _("Several have that name: give the id."),
    }

    def __init__(
        self,
        noun: type[_M],
        *,
        names: tuple[str, ...] = ("name",),
        fetched: tuple[str, ...] = (),
        among: Callable[[Standing], QuerySet[_M]] | None = None,
        **kwargs: Any,
    ) -> None:
        self.noun = noun
        self.names = names
        self.fetched = fetched
        self.among = among or partial(access, noun)
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> _M:
        if not isinstance(data, str) or not data or unusable_character(data):
            self.fail("invalid")
        found = self._by_name(data) or self._by_id(data)
        if found is None:
            self.fail("unknown")
        return found

    def to_representation(self, value: Any) -> str:
        return str(value)

    def _visible(self) -> QuerySet[_M]:
        rows = self.among(standing_in(self.context["request"]))
        return rows.select_related(*self.fetched) if self.fetched else rows

    def _by_name(self, text: str) -> _M | None:
        parts = text.split(":")
        if len(parts) != len(self.names):
            return None
        found = self._visible().filter(**dict(zip(self.names, parts, strict=True)))[:2]
        if len(found) > 1:
            self.fail("ambiguous")
        return found[0] if found else None

    def _by_id(self, text: str) -> _M | None:
        try:
            key = self.noun._meta.pk.to_python(text)  # noqa: SLF001 - Django's public way to the primary key
        except ValidationError:
            return None
        return self._visible().filter(pk=key).first()


class Body(serializers.Serializer[Any]):
    """A request's body. Unknown fields are refused by name; `reason` may come with every change."""

    reason = Text(required=False, allow_blank=True, max_length=LONGEST_REASON, help_text="Why; kept in the register.")

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if isinstance(data, Mapping) and (unknown := sorted(set(data) - set(self.fields))):
            message = serializers.ErrorDetail(str(_("Unknown field.")), code="unknown_field")
            raise serializers.ValidationError({name: [message] for name in unknown})
        return dict(super().to_internal_value(data))


class Part(Body):
    """An object within a body."""

    reason = None  # type: ignore[assignment]  # Django's way to take an inherited field away


class _Pattern(OpenApiSerializerFieldExtension):
    """The characters of a `Text`."""

    target_class = Text
    match_subclasses = True

    def map_serializer_field(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:
        schema: dict[str, Any] = auto_schema._map_serializer_field(self.target, direction, bypass_extensions=True)  # noqa: SLF001
        return schema | {"pattern": self.target.pattern}


class _Closed(OpenApiSerializerExtension):
    """Bodies refuse unknown fields, and the schema says so."""

    target_class = Body
    match_subclasses = True

    def map_serializer(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:
        schema: dict[str, Any] = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)  # noqa: SLF001
        return schema | {"additionalProperties": False}
