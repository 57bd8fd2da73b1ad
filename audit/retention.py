"""Whether a month of the register may go: decided from facts, with every reason against it by its name. Pure."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from audit.partitions import month_after


class Refusal(StrEnum):
    """Why a month stays."""

    NO_ARCHIVE = "no_archive"
    TOO_YOUNG = "too_young"
    ON_HOLD = "on_hold"
    FROZEN = "frozen"
    NOT_VERIFIED = "not_verified"
    NOT_SEALED = "not_sealed"
    NOT_CHECKPOINTED = "not_checkpointed"
    NOT_EXPORTED = "not_exported"
    EXPORT_UNFINISHED = "export_unfinished"
    EXPORT_MISSING = "export_missing"
    EXPORT_ALTERED = "export_altered"
    EXPORT_UNPROVEN = "export_unproven"
    EXPORT_INCOMPLETE = "export_incomplete"


OF_EXPORT = frozenset({
    Refusal.NOT_EXPORTED, Refusal.EXPORT_UNFINISHED, Refusal.EXPORT_MISSING, Refusal.EXPORT_ALTERED,
    Refusal.EXPORT_UNPROVEN, Refusal.EXPORT_INCOMPLETE,
})  # fmt: skip
"""what an export, or another one, mends"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the register with regard to one month."""

    has_archive: bool
    """a directory is configured where exports of months are kept for good"""
    holds: tuple[str, ...]
    """legal holds that touch the month"""
    frozen: bool
    verified_at: datetime | None
    """when the last whole round of verification ended well"""
    unsealed_since: datetime | None
    """the oldest row that no seal binds"""
    unnumbered: bool
    """whether the month holds a row that no seal can bind"""
    checkpoint_at: datetime | None
    """the newest signed checkpoint"""
    export: Refusal | None
    """what is wrong with the month's export; None when it is whole, signed and proven"""


def bounds(month: date) -> tuple[datetime, datetime]:
    """Its first moment, and the first one after it, in UTC as the partitions are."""
    following = month_after(month)
    return datetime(month.year, month.month, 1, tzinfo=UTC), datetime(following.year, following.month, 1, tzinfo=UTC)


def is_old(month: date, now: datetime, days: int) -> bool:
    """Whether nothing in it is younger than so many days."""
    return bounds(month)[1] <= now - timedelta(days=days)


def refusals(month: date, facts: Facts, *, now: datetime, days: int) -> list[Refusal]:
    """Every reason against dropping it; none when it may go."""
    _, end = bounds(month)
    against = {
        Refusal.NO_ARCHIVE: not facts.has_archive,
        Refusal.TOO_YOUNG: not is_old(month, now, days),
        Refusal.ON_HOLD: bool(facts.holds),
        Refusal.FROZEN: facts.frozen,
        Refusal.NOT_VERIFIED: facts.verified_at is None or facts.verified_at < end,
        Refusal.NOT_SEALED: facts.unnumbered or (facts.unsealed_since is not None and facts.unsealed_since < end),
        Refusal.NOT_CHECKPOINTED: facts.checkpoint_at is None or facts.checkpoint_at < end,
    }
    found = [reason for reason, is_so in against.items() if is_so]
    return [*found, facts.export] if facts.export else found
