"""Gateways are told the public half of each owner's key, where a project keeps contents."""

from typing import Any

import pytest

from controlplane import body_keys, gateway_tables
from controlplane.models import BodyKey
from inference.contract import bodies, tables
from tests import factories

pytestmark = pytest.mark.django_db


def a_key(mode: str = "full", **fields: Any) -> Any:
    project = fields.pop("project", None) or factories.ProjectFactory(register_mode=mode)
    return factories.ApiKeyFactory(project=project, **fields)


@pytest.mark.parametrize("mode", ["metadata", "digest"])
def test_none_where_nothing_is_kept(mode: str) -> None:
    assert gateway_tables.key_entry(a_key(mode)).body_key == ""
    assert not BodyKey.objects.exists()


@pytest.mark.parametrize("mode", ["masked", "full"])
def test_made_once_and_told_again(mode: str) -> None:
    key = a_key(mode, created_by="dora")
    entry = gateway_tables.key_entry(key)
    assert gateway_tables.key_entry(key) == entry
    told = bodies.BodyKey.parse(entry.body_key)
    pair = BodyKey.objects.get(person="dora")
    assert told == (str(pair.pk), bytes(pair.public))
    assert bodies.public_of(body_keys.private_of(pair)) == bytes(pair.public)


def test_one_for_all_keys_of_a_person_in_a_project_and_another_elsewhere() -> None:
    first = a_key(created_by="dora")
    same = a_key(project=first.project, created_by="dora")
    other = a_key(project=first.project, created_by="emil")
    elsewhere = a_key(created_by="dora")
    told = [gateway_tables.key_entry(key).body_key for key in (first, same, other, elsewhere)]
    assert told[0] == told[1]
    assert len(set(told)) == 3


def test_many_keys_need_one_look(django_assert_num_queries: Any) -> None:
    project = factories.ProjectFactory(register_mode="full")
    keys = [a_key(project=project, created_by=f"p{n % 3}") for n in range(9)]
    body_keys.published(keys)
    with django_assert_num_queries(1):
        assert len(body_keys.published(keys)) == 3


def test_gateways_never_hear_the_private_half() -> None:
    entry = gateway_tables.key_entry(a_key(created_by="dora"))
    private = body_keys.private_of(BodyKey.objects.get())
    assert private not in tables.encode(entry)
