"""Reading the ledger of budgets: how much of each is spent, and whether the ledger adds up."""

from dataclasses import dataclass
from datetime import datetime

import msgspec
from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection
from django.db.models import OuterRef, QuerySet
from django.db.models.functions import JSONObject
from django.utils import timezone

from controlplane.models import BudgetAccount, Limit
from inference.contract.budgets import COST, DIMENSIONS, Budget

DISCREPANCIES = """
SELECT a.limit_id, a.dimension, a.period, a.spent, a.leased, a.folded,
    coalesce(sum(s.spent), 0) AS spent_by_slices, coalesce(sum(greatest(s.granted - s.spent, 0)), 0) AS left_in_slices,
    coalesce(bool_or(s.spent <> s.said), false) AS lines_differ
FROM budget_account a
LEFT JOIN (
    SELECT s.account_id, s.granted, s.spent, coalesce(sum(l.spent), 0) AS said
    FROM budget_slice s LEFT JOIN budget_line l ON l.slice_id = s.id GROUP BY s.id
) s ON s.account_id = a.id
GROUP BY a.id
HAVING a.spent <> a.folded + coalesce(sum(s.spent), 0)
    OR a.leased <> coalesce(sum(greatest(s.granted - s.spent, 0)), 0)
    OR coalesce(bool_or(s.spent <> s.said), false)
"""
"""Accounts that do not add up: the ledger keeps every sum twice, and these are not the same."""


@dataclass(frozen=True)
class Standing:
    """How a budget stands in its present period; amounts in tokens or micro-units."""

    dimension: str
    amount: int
    spent: int
    leased: int
    """held by gateways for requests that run or are expected"""
    renews_at: datetime | None
    """None: nothing was asked for yet in this period"""

    @property
    def remaining(self) -> int:
        return max(self.amount - self.spent, 0)

    @property
    def percent(self) -> int:
        """Spent, of a hundred; a budget of nothing is used up."""
        return min(100, 100 * self.spent // self.amount) if self.amount else 100

    @property
    def is_cost(self) -> bool:
        return Budget("", self.dimension, 0).unit == COST


class Account(msgspec.Struct, frozen=True):
    """What a standing is made of, as the query tells it."""

    dimension: str
    spent: int
    leased: int
    ends: datetime


def with_accounts(limits: QuerySet[Limit]) -> QuerySet[Limit]:
    """The limits with their accounts of the present periods, for `standings_of`."""
    now = timezone.now()
    present = BudgetAccount.objects.filter(limit=OuterRef("pk"), starts__lte=now, ends__gt=now)
    columns = JSONObject(**{name: name for name in Account.__struct_fields__})
    return limits.annotate(current_accounts=ArraySubquery(present.values(json=columns)))


def standings_of(limit: Limit) -> list[Standing]:
    """How each budget of a limit stands that was read `with_accounts`."""
    budgets = {name: amount for name in DIMENSIONS if (amount := getattr(limit, name)) is not None}
    if not budgets:
        return []
    present = msgspec.convert(limit.current_accounts, list[Account])  # type: ignore[attr-defined]  # annotated
    accounts = {account.dimension: account for account in present}
    return [_standing(name, amount, accounts.get(name)) for name, amount in budgets.items()]


def _standing(dimension: str, amount: int, account: Account | None) -> Standing:
    if account is None:
        return Standing(dimension, amount, 0, 0, None)
    return Standing(dimension, amount, account.spent, account.leased, account.ends)


def discrepancies() -> list[tuple[object, ...]]:
    """What `DISCREPANCIES` finds."""
    with connection.cursor() as cursor:
        cursor.execute(DISCREPANCIES)
        return list(cursor.fetchall())
