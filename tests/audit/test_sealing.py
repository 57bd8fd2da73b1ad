"""What the sealer binds, and what it does not."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from audit import sealer
from audit.models import Event, Seal, SealerLease, Writer
from audit.operations import Operation
from audit.sealer import Deposed, lag_seconds, missing, seal_next, take_lease, without
from audit.verifying import What, verify
from tests.audit.seals import event, seal, write, write_numbers

pytestmark = pytest.mark.django_db


def found() -> list[tuple[What, str, int]]:
    return [(one.what, one.writer, one.number) for one in verify(timezone.now(), processes=1).failures]


def test_nothing_is_sealed_where_nothing_is() -> None:
    assert seal() is None
    assert found() == []


def test_committed_rows_are_bound_once() -> None:
    write_numbers("w", 1, 2, 3)
    write_numbers("v", 1)
    first = seal()
    assert (first.ranges, first.count, first.total) == ([["v", 1, 1], ["w", 1, 3]], 4, 4)
    assert seal() is None
    write_numbers("w", 4)
    second = seal()
    assert (second.number, second.ranges, second.total) == (2, [["w", 4, 4]], 5)
    assert bytes(second.prev) == bytes(first.hash)
    assert found() == []


def test_many_rows_are_several_seals() -> None:
    write_numbers("w", *range(1, 11))
    assert [seal(most=4).count for _ in range(3)] == [4, 4, 2]
    assert found() == []


def test_late_row_is_bound_by_a_later_seal() -> None:
    write_numbers("w", 1, 2, 5)
    assert seal().ranges == [["w", 1, 2], ["w", 5, 5]]
    assert [(one["first"], one["last"], one["given_up"]) for one in missing()] == [(3, 4, False)]
    write_numbers("w", 4)
    assert seal().ranges == [["w", 4, 4]]
    write_numbers("w", 3, 6)
    assert seal().ranges == [["w", 3, 3], ["w", 6, 6]]
    assert missing() == []
    assert found() == []


def test_gap_that_stays_is_told_and_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    write_numbers("w", 1, 3)
    seal()
    monkeypatch.setattr(sealer, "PATIENCE", timedelta(0))
    assert seal().gaps == [["w", 2, 2]]
    told = Event.objects.get(operation=Operation.REGISTER_GAP_FOUND.value)
    assert (told.target_id, told.detail, told.kind) == ("w", {"first": 2, "last": 2}, "security")
    assert seal().gaps == []  # binds what was told; nothing is told twice
    assert seal() is None


def test_gap_that_was_given_up_can_still_be_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealer, "PATIENCE", timedelta(0))
    write_numbers("w", 1, 3)
    seal()
    write_numbers("w", 2)
    seal(sweep=True)
    assert missing() == []
    assert found() == []


def test_writer_whose_first_row_never_came() -> None:
    write_numbers("w", 2, 3)
    assert seal() is None
    assert seal(sweep=True).ranges == [["w", 2, 3]]


def test_old_epoch_is_refused_by_the_database() -> None:
    write_numbers("w", 1)
    old = take_lease("first")
    SealerLease.objects.update(until=timezone.now() - timedelta(seconds=1))
    new = take_lease("second")
    assert new > old
    with pytest.raises(Deposed), transaction.atomic():
        seal_next(old)
    assert Writer.objects.get(pk="w").sealed == 0
    assert seal_next(new).epoch == new


def test_lease_is_one_holders() -> None:
    assert take_lease("first") == take_lease("first")
    assert take_lease("second") is None


def test_seal_that_does_not_follow_is_refused_by_the_database() -> None:
    write_numbers("w", 1)
    last = seal()
    last.number = 7
    with pytest.raises(DatabaseError, match="does not follow"), transaction.atomic():
        last.save(force_insert=True)


def test_clock_that_steps_back_makes_no_seal_older(monkeypatch: pytest.MonkeyPatch) -> None:
    write_numbers("w", 1)
    first = seal()
    early = timezone.now() - timedelta(days=3)
    monkeypatch.setattr(sealer.timezone, "now", lambda: early)
    write_numbers("w", 2)
    assert seal().sealed_at == first.sealed_at
    monkeypatch.undo()
    assert found() == []


def test_row_that_no_writer_of_ours_writes_stops_nobody() -> None:
    write(event("w", 1))
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_event (id, kind, operation, project, request_id, writer, writer_seq, actor_type,"
            " actor_id, actor_name, auth_method, target_type, target_id, target_name, at, host, replica, reason,"
            " source, client, route, model_version, status, detail)"
            " VALUES (gen_random_uuid(), '', '', '', '', 'w', 2, '', '',"
            " '', '', '', '', '', 'infinity', '', '', '', '', '', '', '', '', '[1]')"
        )
    assert seal().count == 2
    assert found() == []


def test_lag_is_the_age_of_the_oldest_unbound_row() -> None:
    write(event("w", 1, at=timezone.now() - timedelta(seconds=5)))
    assert 5 <= lag_seconds() < 60
    seal()
    assert lag_seconds() == 0


@pytest.mark.parametrize(
    ("span", "numbers", "left"),
    [
        ((1, 5), [], [(1, 5)]),
        ((1, 5), [1, 5], [(2, 4)]),
        ((1, 5), [3], [(1, 2), (4, 5)]),
        ((1, 1), [1], []),
        ((3, 4), [1, 2, 5], [(3, 4)]),
    ],
)
def test_span_without_numbers(span: tuple[int, int], numbers: list[int], left: list[tuple[int, int]]) -> None:
    assert without(span, numbers) == left


def test_every_seal_is_numbered() -> None:
    for number in range(1, 4):
        write_numbers("w", number)
        seal()
    assert list(Seal.objects.values_list("number", flat=True)) == [3, 2, 1]
