"""L2: a budget is never overspent and nothing of it is lost: raced for, its holders killed, Redis emptied.

The small counts stand in tests/inference/limits/test_budget_promise.py.
"""

import pytest

from tests.inference.books import Books
from tests.inference.limits.budget_proofs import crashes, race, wipes
from tests.inference.limits.conftest import Valkey, books  # noqa: F401 - a fixture
from tests.proofs.proof import Proof


@pytest.mark.proof("L2", seconds=300, small=False)
def test_exactly_ten_of_fifty_pass(proof: Proof, valkey: Valkey, books: Books) -> None:  # noqa: F811
    told = race(valkey.url, books, rounds=100)
    proof.show(
        "let through, a balance for 10, 50 at once from 4 processes", counted=f"{told['rounds']} rounds",
        bar="10 each", measured=f"{told['admitted'] / told['rounds']:g} each", held=told["admitted"] == 1_000,
    )  # fmt: skip


@pytest.mark.proof("L2", seconds=300, small=False)
def test_reservations_of_the_dead_come_back(proof: Proof, valkey: Valkey, books: Books) -> None:  # noqa: F811
    told = crashes(valkey.url, books, count=50)
    lost = told["reservations lost"]
    proof.show("reservations stranded", counted=f"{told['crashes']} crashes", bar="0", measured=lost, held=lost == 0)


@pytest.mark.proof("L2", seconds=300, small=False)
def test_emptied_redis_overspends_nothing(proof: Proof, valkey: Valkey, books: Books) -> None:  # noqa: F811
    wipes(valkey.url, books, count=20)  # asserts it after each of them
    proof.show("overspent, Redis emptied under load", counted="20 wipes", bar="0", measured=0, held=True)
