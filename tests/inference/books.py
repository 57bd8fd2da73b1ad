"""The budgets' ledger as tests look at it: limits put in by hand, accounts read, and all of it added up."""

import secrets
import uuid
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from controlplane.budgets import DISCREPANCIES
from inference.contract.budgets import DIMENSIONS, Budget
from inference.contract.limits import LimitEntry

_LEAST: dict[str, Any] = {
    "uuid": None, "timestamptz": datetime.now(UTC), "varchar": "", "text": "", "bool": False, "int2": 0, "int4": 0,
    "int8": 0, "jsonb": "{}", "_varchar": [],
}  # fmt: skip


class Books:
    """One database with the ledger's real tables and functions."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection = psycopg.connect(url, autocommit=True, row_factory=dict_row)

    def close(self) -> None:
        self._connection.close()

    def ask(self, statement: str, *parameters: Any) -> list[dict[str, Any]]:
        found = self._connection.execute(statement, parameters)
        return found.fetchall() if found.description else []

    def limit(self, project: str = "acme", *, zone: str = "UTC", **amounts: int) -> LimitEntry:
        """A limit of a project, as the control plane would have it: ``limit(tokens_per_day=1000)``."""
        owner = self._insert("controlplane_project", name=f"p-{secrets.token_hex(8)}")
        columns = {dimension: amounts.get(dimension) for dimension in DIMENSIONS}
        name = self._insert("controlplane_limit", project_id=owner, **columns)
        rates = {name: amount for name, amount in amounts.items() if name not in DIMENSIONS}
        return LimitEntry(
            project, budgets=tuple(Budget(name, d, amounts[d], zone) for d in DIMENSIONS if d in amounts), **rates
        )

    def _insert(self, table: str, **values: Any) -> str:
        """A row; columns that must be there and are not given hold as little as their type allows. Answers its id."""
        values["id"] = str(uuid.uuid4())
        needed = self.ask(
            "SELECT column_name AS name, udt_name AS type FROM information_schema.columns"
            " WHERE table_name = %s AND is_nullable = 'NO' AND column_default IS NULL",
            table,
        )
        values = {column["name"]: _LEAST[column["type"]] for column in needed} | values
        places = ", ".join(["%s"] * len(values))
        self.ask(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})", *values.values())
        return str(values["id"])

    def change(self, entry: LimitEntry, **amounts: int) -> LimitEntry:
        """The same limit with other amounts, in the ledger and for gateways."""
        sets = ", ".join(f"{name} = %s" for name in amounts)
        self.ask(f"UPDATE controlplane_limit SET {sets} WHERE id = %s", *amounts.values(), entry.budgets[0].limit)
        budgets = tuple(Budget(b.limit, b.dimension, amounts.get(b.dimension, b.amount), b.zone) for b in entry.budgets)
        return LimitEntry(entry.project, budgets=budgets)

    def account(self, entry: LimitEntry, dimension: str = "tokens_per_day") -> dict[str, Any]:
        """Its last period."""
        found = self.ask(
            "SELECT * FROM budget_account WHERE limit_id = %s AND dimension = %s ORDER BY period",
            entry.budgets[0].limit, dimension,
        )  # fmt: skip
        return found[-1] if found else {"spent": 0, "leased": 0}

    def spent(self, entry: LimitEntry, dimension: str = "tokens_per_day") -> int:
        return int(self.account(entry, dimension)["spent"])

    def discrepancies(self) -> list[dict[str, Any]]:
        """Accounts that do not add up."""
        return self.ask(DISCREPANCIES)
