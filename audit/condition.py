"""How the register does: what is sealed, signed and verified, and every trouble by its name. The decision is pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from audit.models import Checkpoint, Seal, SealerLease, Verification
from audit.sealer import lag_seconds, missing

BEHIND_SECONDS = 10.0
SIGNED_WITHIN = timedelta(minutes=3)
CLOCK_SLACK = timedelta(seconds=2)
DISK_FULL = ("No space left on device", "Disk quota exceeded", "could not extend file", "DiskFull")


class Trouble(StrEnum):
    """What asks somebody to look; the first is the worst."""

    FROZEN = "frozen"
    DISK_FULL = "disk_full"
    SEALER_AWAY = "sealer_away"
    SEALER_TROUBLED = "sealer_troubled"
    CLOCK_STEPPED_BACK = "clock_stepped_back"
    BEHIND = "behind"
    NOT_SIGNED = "not_signed"
    NUMBERS_MISSING = "numbers_missing"
    NOT_VERIFIED_YET = "not_verified_yet"


@dataclass(frozen=True, slots=True)
class State:
    """What is known."""

    seal: Seal | None
    """the newest"""
    lag: float
    """seconds since the oldest entry that no seal binds; 0 when all are bound"""
    gaps: list[dict[str, Any]]
    lease: SealerLease | None
    checkpoint: Checkpoint | None
    verification: Verification | None


def state() -> State:
    """As it is now. The connection has to see every project."""
    return State(
        seal=Seal.objects.defer("leaves", "ranges").first(), lag=lag_seconds(), gaps=missing(),
        lease=SealerLease.objects.filter(pk=1).first(), checkpoint=Checkpoint.objects.first(),
        verification=Verification.objects.filter(pk=1).first(),
    )  # fmt: skip


def troubles(of: State, now: datetime) -> list[Trouble]:
    """Every trouble; none when all is well."""
    said = of.lease.trouble if of.lease else ""
    is_away = of.lease is None or not of.lease.holder or of.lease.until < now
    is_full = any(word in said for word in DISK_FULL)
    signed = of.checkpoint.number if of.checkpoint else 0
    found = {
        Trouble.FROZEN: of.verification is not None and of.verification.failed_at is not None,
        Trouble.DISK_FULL: is_full,
        Trouble.SEALER_AWAY: is_away,
        Trouble.SEALER_TROUBLED: bool(said) and not is_full,
        Trouble.CLOCK_STEPPED_BACK: of.seal is not None and of.seal.sealed_at > now + CLOCK_SLACK,
        Trouble.BEHIND: of.lag > BEHIND_SECONDS,
        Trouble.NOT_SIGNED: of.seal is not None and signed < of.seal.number and _is_late(of, now),
        Trouble.NUMBERS_MISSING: bool(of.gaps),
        Trouble.NOT_VERIFIED_YET: of.verification is None or of.verification.last_round is None,
    }
    return [trouble for trouble, is_so in found.items() if is_so]


def _is_late(of: State, now: datetime) -> bool:
    """Whether the last checkpoint is so old that the next should be there."""
    if of.checkpoint is None:
        return of.seal is not None and of.seal.number > 1 and now - of.seal.sealed_at > SIGNED_WITHIN
    return now - of.checkpoint.signed_at > SIGNED_WITHIN
