"""How the register does, in plain words: sealing, signing, verifying, and which months are gone or stay."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit import guard
from audit.condition import State, Trouble, state, troubles
from audit.retention import Refusal
from controlplane import archives
from controlplane.access import scope
from controlplane.admin.base import may
from controlplane.badges import badge
from controlplane.roles import Permission

SERIOUS = frozenset({Trouble.FROZEN, Trouble.DISK_FULL, Trouble.SEALER_AWAY, Trouble.SEALER_TROUBLED})
GAPS_SHOWN = 50
TROUBLES = {
    Trouble.FROZEN: _(
        "The register is not as it was written: the verification found what stands below. No month and no contents are "
        "dropped until that is settled. Compare the entry with an export or a backup, put it right or write down why "
        "it cannot be; retention goes on by itself once a whole round of verification passes."
    ),
    Trouble.DISK_FULL: _(
        "A disk is full: nothing can be sealed or signed. Make room; sealing goes on by itself, and nothing is lost."
    ),
    Trouble.SEALER_AWAY: _(
        "No worker seals. Entries are still written and wait for their seal: start a worker, or see why it stopped."
    ),
    Trouble.SEALER_TROUBLED: _(
        "The sealer could not do its work at the last try. It tries again each second; its words stand below."
    ),
    Trouble.CLOCK_STEPPED_BACK: _(
        "The clock stepped back: the newest seal is of a time that is still to come. Seals keep that time until the "
        "clock has reached it; the order of entries is not touched. Set the clock right (NTP)."
    ),
    Trouble.BEHIND: _("Sealing is behind: the oldest entry without a seal is older than ten seconds."),
    Trouble.NOT_SIGNED: _(
        "No checkpoint was signed for more than three minutes. See whether its file can be written."
    ),
    Trouble.NUMBERS_MISSING: _(
        "Numbers were given out and their entries are not there: a process died with them, or somebody took them out. "
        "They are listed below; those that are waited for may still come."
    ),
    Trouble.NOT_VERIFIED_YET: _("No whole round of the verification has ended yet. One takes a day at most."),
}  # fmt: skip
STAYS = {
    Refusal.NO_ARCHIVE: _("no archive directory is set"), Refusal.TOO_YOUNG: _("too young"),
    Refusal.ON_HOLD: _("under a legal hold"), Refusal.FROZEN: _("the verification found something"),
    Refusal.NOT_VERIFIED: _("not verified since it ended"), Refusal.NOT_SEALED: _("entries wait for their seal"),
    Refusal.NOT_CHECKPOINTED: _("no checkpoint since it ended"), Refusal.NOT_EXPORTED: _("not exported yet"),
    Refusal.EXPORT_UNFINISHED: _("being exported"), Refusal.EXPORT_MISSING: _("its export is gone"),
    Refusal.EXPORT_ALTERED: _("its export was altered"), Refusal.EXPORT_UNPROVEN: _("its export is not proven whole"),
    Refusal.EXPORT_INCOMPLETE: _("its export lacks entries"),
}  # fmt: skip


def page(request: HttpRequest) -> HttpResponse:
    """For whoever may read any of the register; the months are for who may drop them."""
    if not guard.may_read(request):
        raise PermissionDenied
    now = timezone.now()
    with scope.everything():  # counts and hashes, nothing of any entry
        found = state()
        months = [_month(it) for it in archives.every(now)] if may(request, Permission.AUDIT_RETIRE, None) else []
    wrong = troubles(found, now)
    context = {
        **admin.site.each_context(request), "title": _("Seals"), "heading": _("Seals"),
        "crumbs": [(_("Audit"), reverse("admin:audit_event_changelist"))],
        "troubles": [(it.value, TROUBLES[it], it in SERIOUS) for it in wrong],
        "facts": _facts(found, wrong), "gaps": [_gap(gap) for gap in found.gaps[:GAPS_SHOWN]],
        "more_gaps": len(found.gaps) - GAPS_SHOWN,
        "failure": found.verification.failure if found.verification and Trouble.FROZEN in wrong else "",
        "said": found.lease.trouble if found.lease else "", "months": months, "retention_days": settings.RETENTION_DAYS,
    }  # fmt: skip
    return TemplateResponse(request, "console/seals.html", context)


def _facts(found: State, wrong: list[Trouble]) -> list[tuple[Any, Any]]:
    seal, lease, checkpoint, verification = found.seal, found.lease, found.checkpoint, found.verification
    is_serious = not SERIOUS.isdisjoint(wrong)
    lamp = ("failed", _("Needs you")) if is_serious else ("warning", _("Look")) if wrong else ("ok", _("All is well"))
    return [
        (_("state"), badge(*lamp)),
        (_("last seal"), seal.number if seal else _("none yet")),
        (_("sealed at"), seal.sealed_at if seal else None),
        (_("entries sealed"), f"{seal.total:,}" if seal else 0),
        (_("oldest entry without a seal"),
         _("%(seconds).1f s old") % {"seconds": found.lag} if found.lag else _("none: all are sealed")),
        (_("sealed by"), lease.holder if lease and lease.holder else _("nobody")),
        (_("its lease ends"), lease.until if lease and lease.holder else None),
        (_("last checkpoint"), _("seal %(number)d") % {"number": checkpoint.number} if checkpoint else _("none yet")),
        (_("signed"), checkpoint.signed_at if checkpoint else None),
        (_("appended to"), settings.CHECKPOINTS_FILE),
        (_("last look of the verification"), verification.checked_at if verification else None),
        (_("last round that passed"), (verification.last_round if verification else None) or _("none yet")),
        (_("retention"), _("frozen") if Trouble.FROZEN in wrong else _("not frozen")),
    ]  # fmt: skip


def _gap(gap: dict[str, Any]) -> dict[str, Any]:
    return {**gap, "since": datetime.fromisoformat(gap["since"])}


def _month(one: archives.Month) -> dict[str, Any]:
    return {
        "name": str(one), "retirement": one.retirement, "why": [STAYS[it] for it in one.refusals], "holds": one.holds,
        "export": one.export,
    }  # fmt: skip
