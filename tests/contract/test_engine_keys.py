"""Engines' keys lie sealed in Redis, and open for their own replica under the same SECRET_KEY only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.contract import tables
from inference.contract.engine_keys import EngineKeyError, EngineKeys

OURS, OTHERS = EngineKeys("a" * 40), EngineKeys("b" * 40)


def table(*replicas: tables.ReplicaEntry) -> tables.RouteTable:
    """Two routes to one deployment."""
    target = tables.TargetEntry("d", 1, "m", "m:1", "m", replicas)
    return tables.RouteTable(tuple(tables.RouteEntry(name, None, 1, None, (target,)) for name in ("one", "two")))


WITH, WITHOUT = tables.ReplicaEntry("r-0", "http://h:1", "sk-upstream"), tables.ReplicaEntry("r-1", "http://h:2")


@given(key=st.text(max_size=300).filter(lambda text: text.isprintable()), replica=st.text(max_size=63))
def test_what_was_sealed_is_opened(key: str, replica: str) -> None:
    assert OURS.open(OURS.seal(key, replica), replica) == key


def test_same_key_is_sealed_alike() -> None:
    assert OURS.sealed(table(WITH)) == OURS.sealed(table(WITH)), "an equal table must not be announced again"
    assert OURS.seal("same", "r-0") != OURS.seal("same", "r-1")


@pytest.mark.parametrize("sealed", [OTHERS.seal("k", "r-0"), OURS.seal("k", "r-1"), "sk-plain", "", "é", "A" * 40])
def test_anything_else_is_refused(sealed: str) -> None:
    with pytest.raises(EngineKeyError, match="SECRET_KEY"):
        OURS.open(sealed, "r-0")


def test_published_table_holds_no_key() -> None:
    published = OURS.sealed(table(WITH, WITHOUT))
    assert b"sk-upstream" not in tables.encode(published)
    assert published.routes[0].targets[0].replicas[1] == WITHOUT


def test_gateway_reads_the_table_as_it_was() -> None:
    reports: list[str] = []
    payload = tables.encode(OURS.sealed(table(WITH, WITHOUT)))
    assert OURS.opened(tables.decode_routes(payload), reports.append) == table(WITH, WITHOUT)
    assert reports == []


def test_replica_whose_key_does_not_open_is_left_out_and_told_once() -> None:
    reports: list[str] = []
    opened = OTHERS.opened(OURS.sealed(table(WITH, WITHOUT)), reports.append)
    assert opened == table(WITHOUT)
    assert len(reports) == 1
    assert "r-0" in reports[0]
