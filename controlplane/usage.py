"""Sums over usage that is rolled up already: what was used, by one thing at a time."""

from datetime import date, timedelta
from enum import StrEnum
from typing import Any

from django.db.models import F, QuerySet, Sum

from controlplane.models import Usage

MOST_GROUPS = 1_000
USUAL_SPAN = timedelta(days=30)
SUMS = ("requests", "failed", "prompt_tokens", "completion_tokens", "cost_micros")


class By(StrEnum):
    """What usage is summed by."""

    DAY = "day"
    PROJECT = "project"
    API_KEY = "api_key"
    ROUTE = "route"
    VERSION = "version"

    @property
    def column(self) -> str:
        return {By.PROJECT: "project_name", By.API_KEY: "key_id"}.get(self, self.value)


def totals(rows: QuerySet[Usage], by: By) -> list[dict[str, Any]]:
    """``{"group", *SUMS}`` each: days in their order, all else with most requests first; at most `MOST_GROUPS`."""
    sums: Any = {f"sum_{name}": Sum(name) for name in SUMS}
    order = ("group",) if by is By.DAY else ("-sum_requests", "group")
    groups = rows.order_by().values(group=F(by.column)).annotate(**sums).order_by(*order)[:MOST_GROUPS]
    return [{"group": str(row["group"]), **{name: row[f"sum_{name}"] for name in SUMS}} for row in groups]


def since(today: date) -> date:
    """The first day of the usual span."""
    return today - USUAL_SPAN + timedelta(days=1)
