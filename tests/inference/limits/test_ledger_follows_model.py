"""The ledger's two functions against a model in plain Python, over histories that hypothesis makes up."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from inference.contract import budgets as contract
from inference.contract.budgets import Spent, Told, Wanted
from tests.inference.books import Books

HOLDERS, PROCESSES = ("g1", "g2", "alone/a"), ("a", "b")
AMOUNTS = st.integers(0, 200)


class Party:
    def __init__(self) -> None:
        self.spent = 0
        self.finished = self.gone = False


class Model:
    """One account. A slice that was put away lives on in `folded`."""

    def __init__(self, amount: int) -> None:
        self.amount, self.folded = amount, 0
        self.granted: dict[str, int] = {}
        self.parties: dict[str, dict[str, Party]] = {holder: {} for holder in HOLDERS}
        self.said: dict[tuple[str, str], int] = {}

    def slice_spent(self, holder: str) -> int:
        return sum(spent for (where, _), spent in self.said.items() if where == holder)

    @property
    def spent(self) -> int:
        return self.folded + sum(self.slice_spent(holder) for holder in self.granted)

    @property
    def leased(self) -> int:
        return sum(max(0, granted - self.slice_spent(holder)) for holder, granted in self.granted.items())

    def gone(self, holder: str) -> bool:
        parties = self.parties[holder].values()
        return any(party.gone for party in parties) and all(party.finished for party in parties)

    def lease(self, holder: str, process: str, need: int, wish: int) -> None:
        self.parties[holder].setdefault(process, Party()).finished = False
        for other in [other for other in self.granted if other != holder and self.gone(other)]:
            self.folded += self.slice_spent(other)
            del self.granted[other]
            self.said = {name: spent for name, spent in self.said.items() if name[0] != other}
        self.granted.setdefault(holder, 0)
        free = self.amount - self.spent - self.leased
        overrun = max(0, self.slice_spent(holder) - self.granted[holder])
        share = free // 8 if free >= 0 else -(-free // 8)
        self.granted[holder] += max(0, min(free + overrun, max(need, min(wish, share))))

    def report(self, holder: str, process: str, spent: int, *, finished: bool, gone: bool) -> None:
        party = self.parties[holder].setdefault(process, Party())
        if party.finished and self.gone(holder):
            return
        if holder in self.granted:
            name = holder, process
            self.said[name] = max(spent, self.said.get(name, 0))
        party.finished, party.gone = finished, party.gone or gone


class Histories(RuleBasedStateMachine):
    books: Books

    @initialize(amount=st.integers(0, 1000))
    def begin(self, amount: int) -> None:
        self.books.ask("DELETE FROM budget_party")
        self.entry = self.books.limit(tokens_per_day=amount)
        self.model = Model(amount)
        self.totals: dict[tuple[str, str], int] = {}
        self.within = True

    def call(self, statement: str, *parameters: Any) -> Any:
        places = statement.replace("$1, $2, $3, $4, $5", "%s, %s, %s, %s, %s").replace("$1, $2, $3", "%s, %s, %s")
        (row,) = self.books.ask(f"{places} AS answer", *parameters)
        return row["answer"]

    @rule(holder=st.sampled_from(HOLDERS), process=st.sampled_from(PROCESSES), need=AMOUNTS, wish=AMOUNTS)
    def lease(self, holder: str, process: str, need: int, wish: int) -> None:
        budget = self.entry.budgets[0]
        wanted = contract.encode([Wanted(budget.limit, budget.dimension, "Asia/Shanghai", need, wish)]).decode()
        (told,) = contract.decode_told(json.dumps(self.call(contract.LEASE, holder, process, wanted)))
        self.model.lease(holder, process, need, wish)
        self.check_told(told, holder)

    def check_told(self, told: Told, holder: str) -> None:
        model = self.model
        mine = max(model.granted[holder], model.slice_spent(holder))
        assert told.granted == model.granted[holder]
        assert told.free == model.amount - model.spent - model.leased
        assert told.others == model.spent + model.leased - mine

    @rule(
        holder=st.sampled_from(HOLDERS), process=st.sampled_from(PROCESSES), more=st.integers(-50, 120),
        finished=st.booleans(), gone=st.booleans(), times=st.integers(1, 2),
    )  # fmt: skip
    def report(self, holder: str, process: str, more: int, *, finished: bool, gone: bool, times: int) -> None:
        """`more` below 0: an old word that comes late."""
        account = self.books.account(self.entry)
        if "period" not in account:
            return
        name = holder, process
        said = max(0, self.totals.get(name, 0) + more)
        self.totals[name] = max(said, self.totals.get(name, 0))
        budget = self.entry.budgets[0]
        words = contract.encode([Spent(budget.limit, budget.dimension, account["period"], said)]).decode()
        for _ in range(times):
            self.call(contract.REPORT, holder, process, words, finished, gone)
            self.model.report(holder, process, said, finished=finished, gone=gone)
        if more > 0:
            self.within = False  # nobody asked the ledger for it

    @rule(amount=st.integers(0, 1000))
    def change(self, amount: int) -> None:
        self.within = self.within and amount >= self.model.amount
        self.entry, self.model.amount = self.books.change(self.entry, tokens_per_day=amount), amount

    @invariant()
    def ledger_is_the_model(self) -> None:
        if hasattr(self, "model"):
            account = self.books.account(self.entry)
            assert (account["spent"], account["leased"]) == (self.model.spent, self.model.leased)
            assert account["spent"] >= 0
            if self.within:
                assert account["spent"] + account["leased"] <= self.model.amount

    def teardown(self) -> None:
        assert not self.books.discrepancies()


def test_ledger_follows_the_model(books: Books) -> None:
    Histories.books = books
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


@pytest.mark.parametrize(
    ("at", "zone", "dimension", "period", "hours"),
    [
        ("2026-11-22 15:59:59+00", "Asia/Shanghai", "tokens_per_day", "2026-11-22", 24),
        ("2026-11-22 16:00:00+00", "Asia/Shanghai", "tokens_per_day", "2026-11-23", 24),
        ("2026-03-29 12:00:00+00", "Europe/Berlin", "cost_micros_per_day", "2026-03-29", 23),
        ("2026-10-25 12:00:00+00", "Europe/Berlin", "tokens_per_day", "2026-10-25", 25),
        ("2026-10-31 23:00:00+00", "Europe/Berlin", "tokens_per_month", "2026-11", 30 * 24),
        ("2026-10-15 00:00:00+00", "Europe/Berlin", "cost_micros_per_month", "2026-10", 31 * 24 + 1),
        ("2026-04-24 12:00:00+00", "Africa/Cairo", "tokens_per_day", "2026-04-24", 23),
    ],
)
def test_days_and_months_are_those_of_the_zone(
    books: Books, at: str, zone: str, dimension: str, period: str, hours: int
) -> None:
    """Cairo has no midnight when its summer begins."""
    (span,) = books.ask("SELECT * FROM budget_period(%s::timestamptz, %s, %s)", at, dimension, zone)
    assert span["period"] == period
    assert (span["ends"] - span["starts"]).total_seconds() == hours * 3600


def test_limit_that_is_gone_has_no_budget(books: Books) -> None:
    entry = books.limit(tokens_per_day=10)
    limit = entry.budgets[0].limit
    wanted = json.dumps([{"limit": limit, "dimension": "tokens_per_day", "zone": "UTC", "need": 1, "wish": 1}])
    books.ask("SELECT lease_budgets('g1', 'a', %s)", wanted)
    books.ask("DELETE FROM controlplane_limit WHERE id = %s", limit)
    (answer,) = books.ask("SELECT lease_budgets('g1', 'a', %s) AS told", wanted)
    assert answer["told"] == [{"item": 0, "amount": None}]
    assert not books.ask("SELECT FROM budget_account WHERE limit_id = %s", limit)


def test_past_periods_are_put_away(books: Books) -> None:
    entry = books.limit(tokens_per_day=100)
    limit = entry.budgets[0].limit
    wanted = json.dumps([{"limit": limit, "dimension": "tokens_per_day", "zone": "UTC", "need": 10, "wish": 0}])
    books.ask("SELECT lease_budgets('g1', 'a', %s)", wanted)
    for days, period in ((3, "3 days ago"), (100, "100 days ago")):
        books.ask(
            "INSERT INTO budget_account (limit_id, dimension, period, starts, ends, spent, folded, leased)"
            " VALUES (%s, 'tokens_per_day', %s, now() - interval '1 day' * %s, now() - interval '1 day' * %s, 7, 7, 0)",
            limit, period, days + 1, days,
        )  # fmt: skip
    books.ask("UPDATE budget_account SET leased = 5 WHERE period = '3 days ago'")
    books.ask(
        "UPDATE budget_account SET period = 'yesterday' WHERE limit_id = %s AND ends > now()", limit
    )  # so that today is new
    books.ask("SELECT lease_budgets('g1', 'a', %s)", wanted)
    kept = {
        row["period"]: row["leased"] for row in books.ask("SELECT * FROM budget_account WHERE limit_id = %s", limit)
    }
    assert "100 days ago" not in kept
    assert kept["3 days ago"] == 0
    assert kept["yesterday"] == 10
