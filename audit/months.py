"""The register's months as they are: which there are, and what is known of one with regard to its retention."""

from collections.abc import Callable
from dataclasses import dataclass
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


def holds(using: str = DEFAULT_DB_ALIAS) -> list[Hold]:
    """All legal holds."""
    return list(Hold.objects.using(using).order_by("of", "name"))


def touching(holds: list[Hold], has: Callable[[str, str], bool]) -> tuple[str, ...]:
    """Those for which a month has rows; `has` is asked with a column and its value."""
    columns = {Hold.Of.PROJECT: "project", Hold.Of.ACTOR: "actor_id"}
    return tuple(str(hold) for hold in holds if has(columns[Hold.Of(hold.of)], hold.name))


@dataclass(frozen=True, slots=True)
class Register:
    """What is the same for every month."""

    holds: list[Hold]
    verification: Verification | None
    unsealed_since: datetime | None
    checkpoint_at: datetime | None


def register(now: datetime) -> Register:
    """As it is now. The connection has to see every project."""
    lag = lag_seconds()
    return Register(
        holds=holds(), verification=Verification.objects.first(),
        unsealed_since=now - timedelta(seconds=lag) if lag else None,
        checkpoint_at=Checkpoint.objects.values_list("signed_at", flat=True).first(),
    )  # fmt: skip


def facts_of(month: date, of: Register, *, has_archive: bool, export: Refusal | None) -> Facts:
    """All that a decision needs. The connection has to see every project."""
    rows, verification = rows_of(month), of.verification
    return Facts(
        has_archive=has_archive,
        holds=touching(of.holds, lambda column, value: rows.filter(**{column: value}).exists()),
        frozen=verification is not None and verification.failed_at is not None,
        verified_at=verification.last_round if verification else None,
        unsealed_since=of.unsealed_since,
        unnumbered=rows.filter(writer_seq__lte=0).exists(),
        checkpoint_at=of.checkpoint_at,
        export=export,
    )
