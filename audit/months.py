"""The register's months as they are: which there are, and what is known of one with regard to its retention."""

from collections.abc import Callable
from datetime import date, datetime, timedelta

from django.db import DEFAULT_DB_ALIAS
from django.db.models import QuerySet

from audit.models import Checkpoint, Event, Hold, Verification
from audit.partitions import month_in, partitions_of
from audit.retention import Facts, Refusal, bounds
from audit.sealer import lag_seconds
from inference.contract.events import ROWS, TABLE


def table_of(month: date) -> str:
    """The partition's name."""
    return f"{TABLE}_{month:%Y_%m}"


def existing(using: str = DEFAULT_DB_ALIAS) -> list[date]:
    """First days of the months that have a partition, ascending."""
    return sorted(month for name in partitions_of(ROWS, using) if (month := month_in(name, TABLE)))


def rows_of(month: date) -> QuerySet[Event]:
    """Its entries, as far as the connection may see them."""
    begin, end = bounds(month)
    return Event.objects.filter(at__gte=begin, at__lt=end).order_by()


def holds_touching(has: Callable[[str, str], bool], using: str = DEFAULT_DB_ALIAS) -> tuple[str, ...]:
    """Legal holds for which the month has rows; `has` is asked with a column and its value."""
    columns = {Hold.Of.PROJECT: "project", Hold.Of.ACTOR: "actor_id"}
    holds = Hold.objects.using(using).order_by("of", "name")
    return tuple(str(hold) for hold in holds if has(columns[Hold.Of(hold.of)], hold.name))


def facts_of(month: date, *, now: datetime, has_archive: bool, export: Refusal | None) -> Facts:
    """All that a decision needs. The connection has to see every project."""
    rows = rows_of(month)
    verification = Verification.objects.first()
    lag = lag_seconds()
    return Facts(
        has_archive=has_archive,
        holds=holds_touching(lambda column, value: rows.filter(**{column: value}).exists()),
        frozen=verification is not None and verification.failed_at is not None,
        verified_at=verification.last_round if verification else None,
        unsealed_since=now - timedelta(seconds=lag) if lag else None,
        unnumbered=rows.filter(writer_seq__lte=0).exists(),
        checkpoint_at=Checkpoint.objects.values_list("signed_at", flat=True).first(),
        export=export,
    )
