"""What is shown quickly is what Django REST framework shows."""

from collections import OrderedDict
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone
from rest_framework import serializers

from audit.showing import Showing

MOMENT = datetime(2027, 1, 31, 8, 0, 0, 250_000, tzinfo=UTC)


class Part(Showing):
    name = serializers.CharField()
    weight = serializers.IntegerField()


class Whole(Showing):
    id = serializers.UUIDField()
    at = serializers.DateTimeField(allow_null=True)
    ratio = serializers.FloatField()
    on = serializers.BooleanField()
    kind = serializers.ChoiceField(["a", "b"])
    owner = serializers.CharField(source="above.owner", allow_null=True, default=None)
    called = serializers.CharField(source="make")
    tags = serializers.ListField(child=serializers.CharField(), allow_null=True)
    parts = Part(many=True)
    part = Part(allow_null=True, default=None)
    left_out = serializers.CharField(required=False)
    secret = serializers.CharField(write_only=True)
    length = serializers.SerializerMethodField()

    def get_length(self, row: Any) -> int:
        return len(row.parts) + int(self.context.get("more", 0))


def row(**fields: Any) -> SimpleNamespace:
    given: dict[str, Any] = {
        "id": UUID(int=7), "at": MOMENT, "ratio": 0.5, "on": True, "kind": "a", "above": SimpleNamespace(owner="alice"),
        "make": lambda: "made", "tags": ["x"], "parts": [SimpleNamespace(name="p", weight=3)], "part": None,
    }  # fmt: skip
    return SimpleNamespace(**given | fields)


def by_framework(serializer: Showing, shown: Any) -> Any:
    return serializers.Serializer.to_representation(serializer, shown)


@pytest.mark.parametrize(
    "changed",
    [
        {}, {"at": None}, {"above": None}, {"above": SimpleNamespace(owner=None)}, {"above": SimpleNamespace()},
        {"parts": []}, {"part": SimpleNamespace(name="q", weight=1)}, {"left_out": "here"}, {"tags": None},
        {"at": MOMENT.astimezone(ZoneInfo("America/Lima"))}, {"make": "no call"}, {"kind": ""},
        {"parts": ({"name": "d", "weight": 1},)},
    ],
)  # fmt: skip
def test_shows_what_the_framework_shows(changed: dict[str, Any]) -> None:
    serializer, asked = Whole(), row(**changed)
    assert Whole(asked).data == by_framework(serializer, asked)
    assert list(Whole(asked).data) == list(by_framework(serializer, asked)), "in another order"


@pytest.mark.parametrize("name", ["UTC", "Asia/Shanghai", "America/Lima"])
def test_moments_are_of_the_zone(name: str) -> None:
    with timezone.override(ZoneInfo(name)):
        assert Whole(row()).data == by_framework(Whole(), row())


def test_rows_are_shown_alike() -> None:
    rows = [row(), row(above=None), row(left_out="here")]
    assert Whole(rows, many=True).data == [by_framework(Whole(), it) for it in rows]


def test_methods_know_the_context() -> None:
    assert [it["length"] for it in Whole([row()], many=True, context={"more": 4}).data] == [5]


def test_dictionaries_are_rows_too() -> None:
    assert Part.each([{"name": "d", "weight": 2}]) == [{"name": "d", "weight": 2}]


class Odd(Showing):
    items = serializers.CharField()
    owner = serializers.CharField(source="above.owner", allow_null=True, default=None)
    left_out = serializers.CharField(required=False)
    usual = serializers.IntegerField(default=3)


@pytest.mark.parametrize(
    "asked",
    [
        {"items": "named as a method of dictionaries", "above": {"owner": "alice"}, "left_out": 1, "usual": 2},
        {"items": None, "above": None}, {"items": 1}, OrderedDict(items="a subclass", above={"owner": None}),
        {"items": "x", "above": SimpleNamespace(owner="bob")},
    ],
)  # fmt: skip
def test_dictionaries_are_shown_as_the_framework_shows_them(asked: dict[str, Any]) -> None:
    assert Odd(asked).data == by_framework(Odd(), asked)


def test_key_that_is_missing_is_an_error() -> None:
    with pytest.raises(KeyError):
        Odd({}).data  # noqa: B018 - asked for, to be made


def test_what_is_missing_is_an_error() -> None:
    with pytest.raises(AttributeError):
        Whole(SimpleNamespace(id=UUID(int=7))).data  # noqa: B018 - asked for, to be made
