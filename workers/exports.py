"""Writing exports of the register: claimed in PostgreSQL, leased, broken off at any moment and gone on with.

What is written first and told afterwards may be there twice as far as it was told: it is cut off and written again, the
same bytes. A worker that lost its lease has an epoch that nobody hears, and the file's lock keeps it out of the file.
"""

import errno
import logging
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from enum import StrEnum

from django.conf import settings
from django.db import DatabaseError, DataError, transaction
from django.db.models import Q
from django.utils import timezone

from audit.export_files import Appending, Busy, Files, Sizes, append_all
from audit.exporting import PART, Format, first_at, heading, place_of, rows_behind, wall
from audit.manifest import attest
from audit.models import Checkpoint, Seal
from audit.operations import Operation
from audit.record import Actor, Target, record
from audit.sealer import lag_seconds
from controlplane.access.standing import standing_of
from controlplane.actors import SYSTEM
from controlplane.lifecycle import ExportState, move
from controlplane.models import Export
from controlplane.roles import Permission, decide
from inference.contract.canonical import NotCanonical

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
KEEP_SECONDS = 10.0
"""a lease that is kept is told anew so often"""
LONGEST_FINISH = 3_000
"""seconds; reading everything once more takes its time: a register of half a year has fifteen million seals"""
TURN_SECONDS = 40.0
"""then the worker does something else as well"""
GLANCE = timedelta(seconds=5)
SEALED_WITHIN = timedelta(seconds=5)
SEALER_AWAY = timedelta(minutes=3)
LONGEST_WAIT = timedelta(minutes=2)
"""checkpoints come each minute"""
PATIENCE = timedelta(seconds=30)
"""until a full disk is tried again"""


class Trouble(StrEnum):
    """What is in the way of an export; the page shows it."""

    DISK_FULL = "disk_full"
    DIRECTORY_UNUSABLE = "directory_unusable"
    FILE_GONE = "file_gone"
    NOT_CANONICAL = "not_canonical"
    RIGHT_TAKEN_AWAY = "right_taken_away"
    UNEXPECTED = "unexpected"
    WAITING_FOR_SEALS = "waiting_for_seals"
    """no trouble: the last rows are about to be sealed and signed, so that the manifest can prove them"""


FINAL = frozenset({Trouble.FILE_GONE, Trouble.NOT_CANONICAL, Trouble.RIGHT_TAKEN_AWAY})
"""trouble that waiting does not mend"""


class LostLease(Exception):
    """It was cancelled, or another worker has it."""


def files_of(export: Export) -> Files:
    return export.files


def write_next(turn_seconds: float = TURN_SECONDS) -> bool:
    """Work on the export that is due, if there is one and nobody works on another; answers whether there was one."""
    export = claim(timezone.now())
    if export is None:
        return False
    try:
        _write(export, time.monotonic() + turn_seconds)
    except (LostLease, Busy):
        logger.info("export %s: somebody else has it", export)
    except OSError as exc:
        _give_up(export, _trouble(exc), exc)
    except (NotCanonical, DataError) as exc:  # of an entry; of a seal with a time that is none
        _give_up(export, Trouble.NOT_CANONICAL, exc)
    except DatabaseError:
        raise
    except Exception as exc:
        logger.exception("export %s", export)
        _give_up(export, Trouble.UNEXPECTED, exc)  # those behind it need not wait for its end
    return True


@transaction.atomic
def claim(now: datetime) -> Export | None:
    """The oldest export that is due, with a lease and an epoch of its own."""
    open_ = Export.objects.filter(state__in=(ExportState.PENDING, ExportState.RUNNING))
    if open_.filter(problem="", lease_until__gte=now).exists():
        return None  # one at a time: each holds a worker
    due = open_.filter(Q(lease_until=None) | Q(lease_until__lt=now)).order_by("id")
    export = due.select_for_update(of=("self",), skip_locked=True).select_related("project").first()
    if export is None:
        return None
    move(export, ExportState.RUNNING)
    export.epoch, export.lease_until = export.epoch + 1, now + LEASE
    export.save(update_fields=["state", "epoch", "lease_until", "updated_at"])
    return export


def _write(export: Export, deadline: float) -> None:
    if not _may_still(export):
        _give_up(export, Trouble.RIGHT_TAKEN_AWAY, None)
        return
    if export.begins_at is None:
        with wall(_project(export)):
            _tell(export, begins_at=first_at(export.selected))
    with files_of(export).opened(export.whole) as file:
        ended = _append_parts(export, file, deadline)
    if ended and wait_for_seals(export.selected.until, export.created_at, timezone.now()):
        _tell(export, problem=Trouble.WAITING_FOR_SEALS, lease_until=timezone.now() + GLANCE)
    elif ended:
        _finish(export)
    else:
        _tell(export, lease_until=None)


def wait_for_seals(until: datetime | None, ordered_at: datetime, now: datetime) -> bool:
    """Whether a checkpoint that signs the last rows is soon there. Not for long, and not where nothing is sealed."""
    newest = Checkpoint.objects.only("number", "signed_at").first()
    if newest is None or now - newest.signed_at > SEALER_AWAY or now - ordered_at > LONGEST_WAIT:
        return False
    settled = (until or ordered_at) + SEALED_WITHIN
    return newest.signed_at < settled and not (now >= settled and _all_is_signed(newest.number))


def _all_is_signed(number: int) -> bool:
    """No other checkpoint comes before somebody does something: this one signs all there is."""
    return lag_seconds() == 0 and not Seal.objects.filter(number__gt=number).exists()


def _append_parts(export: Export, file: Appending, deadline: float) -> bool:
    """True when the last row is written, False when the turn is over."""
    form, rows = Format(export.format), _Rows(export, deadline)
    if export.bytes == 0:
        _tell_whole(export, file.write(heading(form, bom=export.bom)))
    with closing(append_all(file, form, rows)) as written:
        for new in written:
            _tell_whole(export, new.whole, rows=export.rows + new.rows, last_at=new.last.at, last_id=new.last.id)
    return rows.ended


class _Rows:
    """An export's rows from its place on, a part at a time, until the deadline; `ended` when there are no more."""

    def __init__(self, export: Export, deadline: float) -> None:
        self.ended = False
        self._selection, self._project = export.selected, _project(export)
        self._place, self._deadline = export.place, deadline

    def __iter__(self) -> Iterator[list[bytes]]:
        at_once = PART
        while time.monotonic() < self._deadline:
            with wall(self._project):
                rows = rows_behind(self._selection, self._place, at_once=at_once)
            if not rows:
                self.ended = True
                return
            at_once = PART if len(rows) == PART else max(32, len(rows))
            self._place = place_of(rows[-1])
            yield rows


def _tell_whole(export: Export, whole: Sizes, **more: object) -> None:
    _tell(
        export, bytes=whole.content, leaves_bytes=whole.leaves, numbers_bytes=whole.numbers, problem="",
        lease_until=timezone.now() + LEASE, **more,
    )  # fmt: skip


def _tell(export: Export, **progress: object) -> None:
    """Raises `LostLease`."""
    mine = Export.objects.filter(pk=export.pk, epoch=export.epoch, state=ExportState.RUNNING)
    if not mine.update(updated_at=timezone.now(), **progress):
        raise LostLease
    for name, value in progress.items():
        setattr(export, name, value)


def _finish(export: Export) -> None:
    attested = attest(files_of(export), export.selected, export.rows, still=_Keeping(export))
    now = timezone.now()
    with transaction.atomic():
        kept_until = None if export.month else now + timedelta(hours=settings.EXPORTS_KEPT_HOURS)
        _tell(
            export, state=ExportState.DONE, sha256=attested.sha256, unsealed=attested.unsealed, finished_at=now,
            expires_at=kept_until, lease_until=None, problem="",
        )  # fmt: skip
        _note(export, Operation.EXPORT_FINISHED, rows=export.rows, bytes=export.bytes, sha256=attested.sha256)


class _Keeping:
    """Keeps the lease while the export is finished. Raises `LostLease` once it was cancelled."""

    def __init__(self, export: Export) -> None:
        self._export, self._next = export, 0.0

    def __call__(self) -> None:
        if time.monotonic() >= self._next:
            _tell(self._export, lease_until=timezone.now() + LEASE)
            self._next = time.monotonic() + KEEP_SECONDS


def _give_up(export: Export, trouble: Trouble, exc: Exception | None) -> None:
    """For good, or until the next attempt."""
    logger.warning("export %s: %s (%s)", export, trouble, exc)
    now = timezone.now()
    mine = Export.objects.filter(pk=export.pk, epoch=export.epoch, state=ExportState.RUNNING)
    if trouble not in FINAL:
        mine.update(problem=trouble, lease_until=now + PATIENCE, updated_at=now)
        return
    kept_until = now + timedelta(hours=settings.EXPORTS_KEPT_HOURS)
    with transaction.atomic():
        ended = mine.update(state=ExportState.FAILED, problem=trouble, finished_at=now, expires_at=kept_until)
        if ended:
            _note(export, Operation.EXPORT_FAILED, status=trouble, rows=export.rows)


def _trouble(exc: OSError) -> Trouble:
    if exc.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return Trouble.DISK_FULL
    return Trouble.FILE_GONE if isinstance(exc, FileNotFoundError) else Trouble.DIRECTORY_UNUSABLE


def _may_still(export: Export) -> bool:
    """Rights may go while an export waits."""
    kind, key = export.requester_type, export.requester_id
    actor = Actor(type=kind, id=key, name=export.requester_name, source="worker")  # type: ignore[arg-type]
    return decide(standing_of(actor), Permission.AUDIT_EXPORT, export.project_id).allowed


def _project(export: Export) -> str:
    return export.project.name if export.project else ""


def _note(export: Export, operation: Operation, status: str = "ok", **detail: object) -> None:
    target = Target(type="export", id=str(export.pk), name=str(export))
    record(
        operation, actor=SYSTEM, target=target, project=_project(export), detail=detail, kind="system", status=status
    )


def delete_old(now: datetime) -> int:
    """Delete the files of exports whose time is over or that were cancelled; answers how many exports those were."""
    over = Q(state__in=(ExportState.DONE, ExportState.FAILED), expires_at__lte=now) | Q(state=ExportState.CANCELLED)
    gone = 0
    for export in Export.objects.filter(over):
        files_of(export).remove()
        move(export, ExportState.EXPIRED)
        export.save(update_fields=["state", "updated_at"])
        gone += 1
    return gone
