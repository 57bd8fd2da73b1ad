"""L2: a budget is never overspent and nothing of it is lost, whoever dies. `make soak` runs the same for longer."""

from tests.inference.books import Books

from .budget_proofs import crashes, race, wipes
from .conftest import Valkey


def test_exactly_ten_of_fifty_pass(valkey: Valkey, books: Books) -> None:
    assert race(valkey.url, books, rounds=3)["refused"] == 3 * 40


def test_reservations_of_the_dead_come_back(valkey: Valkey, books: Books) -> None:
    crashes(valkey.url, books, count=2)


def test_emptied_redis_overspends_nothing(valkey: Valkey, books: Books) -> None:
    wipes(valkey.url, books, count=2)
