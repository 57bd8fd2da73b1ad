"""Serializers that only show, for lists of hundreds of rows.

Django REST framework finds anew for each value of each row how it is reached and written. That is the same for all rows
of a class, so it is found once; the answers are those of the framework's own serializers.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, tzinfo
from functools import cache, partial
from operator import attrgetter
from typing import Any

from django.db.models.manager import BaseManager
from django.utils import timezone
from rest_framework import serializers
from rest_framework.fields import SkipField, is_simple_callable

Read = Callable[[Any], Any]
"""a row -> what is shown of it"""


class Rows(serializers.ListSerializer[Any]):
    """Many of a `Showing`."""

    child: "Showing"

    def to_representation(self, data: Any) -> list[Any]:
        return _each(self.child.reader(), data)


# Shows and takes nothing in. One that stands within another has no context. (A docstring would stand in the API's
# description of whatever has none of its own.)
class Showing(serializers.Serializer[Any]):
    class Meta:
        list_serializer_class = Rows

    def to_representation(self, instance: Any) -> Any:
        return self.reader()(instance)

    @classmethod
    def each(cls, rows: Iterable[Any]) -> list[Any]:
        """Some rows as shown, for a method of another serializer."""
        return _each(cls().reader(), rows)

    def reader(self) -> Read:
        """What is shown of a row, in the time zone of the moment."""
        reads = [
            (name, read or getattr(self, method))
            for name, read, method in _fields(type(self), timezone.get_current_timezone())
        ]

        def shown(row: Any) -> Any:
            values = {}
            for name, read in reads:
                try:
                    values[name] = read(row)
                except SkipField:
                    continue
            return values

        return shown


def _each(show: Read, rows: BaseManager[Any] | Iterable[Any]) -> list[Any]:
    return [show(row) for row in (rows.all() if isinstance(rows, BaseManager) else rows)]


@cache
def _fields(shown: type[Showing], zone: tzinfo) -> list[tuple[str, Read | None, str]]:
    """Of each field its name and how it is read, or else the name of the serializer's method that reads it."""
    return [
        (name, None, field.method_name)
        if isinstance(field, serializers.SerializerMethodField)
        else (name, _reading(field, zone), "")
        for name, field in shown().fields.items()
        if not field.write_only
    ]


def _reading(field: Any, zone: tzinfo) -> Read:
    """A row's value of the field as JSON knows it; what is not there is left to the framework."""
    names, write = field.source_attrs, _writing(field, zone)
    reach = attrgetter(*names) if len(names) == 1 else partial(_along, names, field)
    key = names[0] if len(names) == 1 else None

    def read(row: Any) -> Any:
        try:
            value = row[key] if isinstance(row, dict) else reach(row)
        except (AttributeError, KeyError):
            value = field.get_attribute(row)
        if callable(value) and is_simple_callable(value):
            value = value()
        return None if value is None else write(value)

    return read


def _along(names: list[str], field: Any, row: Any) -> Any:
    value = row
    for name in names:
        if value is None and (field.default is None or field.allow_null):
            return None
        value = getattr(value, name)
    return value


def _writing(field: Any, zone: tzinfo) -> Read:
    if isinstance(field, Showing):
        return field.reader()
    if isinstance(field, Rows):
        show = field.child.reader()
        return lambda rows: _each(show, rows)
    if type(field) is serializers.DateTimeField:
        return lambda moment: _moment(moment, zone)
    plain: dict[type, Read] = {
        serializers.CharField: str, serializers.UUIDField: str, serializers.IntegerField: int,
        serializers.FloatField: float,
    }  # fmt: skip
    write: Read = plain.get(type(field), field.to_representation)
    return write


def _moment(value: datetime, zone: tzinfo) -> str:
    text = value.astimezone(zone).isoformat()
    return f"{text[:-6]}Z" if text.endswith("+00:00") else text
