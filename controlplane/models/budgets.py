"""The ledger of budgets, for reading. Its functions in PostgreSQL are its only writers.

`inference.contract.budgets` says what the tables mean. A migration makes them by hand, because the gateways' functions
rely on defaults and on deletion by the database itself.
"""

from django.db import models

from .limits import Limit


class BudgetAccount(models.Model):
    """One budget of a limit in one period."""

    id = models.BigAutoField(primary_key=True)
    limit = models.ForeignKey(Limit, models.DO_NOTHING, related_name="accounts")
    dimension = models.TextField()
    period = models.TextField()
    starts = models.DateTimeField()
    ends = models.DateTimeField()
    spent = models.BigIntegerField(default=0)
    leased = models.BigIntegerField(default=0)
    folded = models.BigIntegerField(default=0)
    version = models.BigIntegerField(default=0)

    class Meta:
        db_table = "budget_account"
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.limit_id} {self.dimension} {self.period}"


class BudgetSlice(models.Model):
    """What of an account one holder was granted, and what it spent."""

    id = models.BigAutoField(primary_key=True)
    account = models.ForeignKey(BudgetAccount, models.DO_NOTHING, related_name="slices")
    holder = models.TextField()
    granted = models.BigIntegerField(default=0)
    spent = models.BigIntegerField(default=0)

    class Meta:
        db_table = "budget_slice"
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.account_id} {self.holder}"


class BudgetLine(models.Model):
    """What one gateway process says it spent from a slice."""

    id = models.BigAutoField(primary_key=True)
    slice = models.ForeignKey(BudgetSlice, models.DO_NOTHING, related_name="lines")
    process = models.TextField()
    spent = models.BigIntegerField(default=0)

    class Meta:
        db_table = "budget_line"
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.slice_id} {self.process}"


class BudgetParty(models.Model):
    """A gateway process that takes part in a holder."""

    id = models.BigAutoField(primary_key=True)
    holder = models.TextField()
    process = models.TextField()
    finished = models.BooleanField(default=False)
    gone = models.BooleanField(default=False)
    seen_at = models.DateTimeField()

    class Meta:
        db_table = "budget_party"
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.holder} {self.process}"
