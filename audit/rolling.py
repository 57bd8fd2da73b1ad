"""Verification by itself: a slice of the register each minute, all of it in a bounded time, and what follows a failure.

A failure is an entry of its own, stands in `Verification` for alerts and the register's page, and freezes retention
until a whole round passes again.
"""

import logging
from datetime import datetime

from django.db import DataError, transaction

from audit.models import Seal, Verification
from audit.operations import Operation
from audit.record import Target, record
from audit.sealer import SEALER
from audit.verifying import Failure, Report, What, verify_slice

logger = logging.getLogger(__name__)

SLICE_ROWS = 100_000
SLICES_A_ROUND = 1_440
"""a round takes a day at most, however long the register is"""


def state() -> Verification:
    """The one row; made on first use."""
    found, _ = Verification.objects.get_or_create(pk=1)
    return found


def verify_next(now: datetime) -> Report:
    """Verify the next slice and note what came out."""
    before = state()
    first = before.next_number
    last = _end_of_slice(first)
    try:
        report = verify_slice(first, last, now)
    except DataError as exc:  # such as a time `infinity`: none of ours was ever written
        detail = f"something from here to seal {last} cannot be read: {str(exc).partition(chr(10))[0]}"
        report = Report(failures=[Failure(first, -1, What.SEAL_EDITED, detail=detail)])
    _note(before, report, last, now)
    return report


def _end_of_slice(first: int) -> int:
    """The last seal of about `SLICE_ROWS` rows, more where a round would take too long."""
    newest = Seal.objects.only("total", "number").first()
    begin = Seal.objects.filter(number=first - 1).only("total").first()
    if newest is None:
        return first - 1
    most = max(SLICE_ROWS, newest.total // SLICES_A_ROUND)
    reached = (begin.total if begin else 0) + most
    end = Seal.objects.filter(number__gte=first, total__lte=reached).only("number").first()
    return end.number if end else min(first, newest.number)


@transaction.atomic
def _note(before: Verification, report: Report, last: int, now: datetime) -> None:
    newest = Seal.objects.only("number").first()
    is_whole = newest is None or last >= newest.number
    before.checked_at = now
    before.round_began = before.round_began or now
    if report.first is not None:
        _fail(before, report.first, len(report.failures), now)
    if is_whole:
        round_failed = before.failed_at is not None and before.failed_at >= before.round_began
        if not round_failed:
            before.last_round, before.failed_at, before.failure = now, None, ""
        before.next_number, before.round_began = 1, None
    else:
        before.next_number = last + 1
    before.save()


def _fail(noted: Verification, first: Failure, count: int, now: datetime) -> None:
    logger.error("register: verification failed: %s", first)
    if noted.failure != str(first):
        seal = str(first.seal)
        record(
            Operation.REGISTER_VERIFICATION_FAILED, actor=SEALER, target=Target("seal", seal, seal),
            kind="security", status=first.what.value.replace(" ", "_"), reason=str(first),
            detail={"writer": first.writer, "number": first.number, "id": first.id, "failures": count},
        )  # fmt: skip
    noted.failed_at, noted.failure = now, str(first)


def is_frozen() -> bool:
    """Whether retention has to wait: what failed its verification is not thrown away."""
    return Verification.objects.filter(failed_at__isnull=False).exists()
