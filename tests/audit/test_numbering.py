"""The numbers of events in transactions have no gap, whatever fails, and none is given twice."""

import threading
from collections import defaultdict

import pytest
from django.db import DatabaseError, connection, transaction

from audit.models import Event, Writer
from audit.operations import Operation
from audit.record import Actor, Target, record

pytestmark = pytest.mark.django_db(transaction=True)
SYSTEM = Actor(type="system", id="", name="system", source="worker")


def write(name: str = "x") -> None:
    record(Operation.PROJECT_CHANGED, actor=SYSTEM, target=Target("project", "1", name))


class Failed(Exception):
    """What an action may end with."""


def fail_after_writing() -> None:
    with transaction.atomic():
        write("lost")
        raise Failed


def lose_connection_after_writing() -> None:
    with transaction.atomic():
        write("unknown")
        connection.connection.close()


def series() -> dict[str, list[int]]:
    found = defaultdict(list)
    for writer, number in Event.objects.order_by("writer", "writer_seq").values_list("writer", "writer_seq"):
        found[writer].append(number)
    return dict(found)


def without_gaps() -> bool:
    return all(numbers == list(range(numbers[0], numbers[0] + len(numbers))) for numbers in series().values())


def test_transaction_that_fails_leaves_no_gap() -> None:
    write()
    with pytest.raises(Failed):
        fail_after_writing()
    for _ in range(3):
        write()
    assert without_gaps()
    assert Event.objects.count() == 4


def test_savepoint_that_fails_leaves_no_gap() -> None:
    with transaction.atomic():
        write()
        with pytest.raises(Failed):
            fail_after_writing()
        write()
        write()
    write()
    assert without_gaps()
    assert Event.objects.count() == 4


def test_one_after_the_other_are_one_writer() -> None:
    for _ in range(5):
        write()
    with transaction.atomic():
        write()
        write()
    (numbers,) = series().values()
    assert numbers == list(range(numbers[0], numbers[0] + 7))


def test_side_by_side_are_writers_of_their_own() -> None:
    both_wrote = threading.Barrier(2)

    def beside() -> None:
        with transaction.atomic():
            write()
            both_wrote.wait(10)
        connection.close()

    threads = [threading.Thread(target=beside) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert without_gaps()
    assert len(series()) == 2


def test_number_of_a_lost_connection_is_not_given_again() -> None:
    """Nobody knows whether it was committed."""
    write()
    (before,) = series()
    with pytest.raises(DatabaseError, match="closed"):
        lose_connection_after_writing()
    connection.close()
    write()
    assert set(series()) > {before}


def test_writer_is_known_with_its_first_number() -> None:
    write()
    known = set(Writer.objects.values_list("name", flat=True))
    firsts = {writer for writer, numbers in series().items() if numbers[0] == 1}
    assert firsts <= known
