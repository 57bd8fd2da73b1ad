"""Whom the guard keeps out, why, and until when."""

from typing import Any

from django.contrib import admin
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from controlplane.admin.base import ConsoleAdmin, Verb
from controlplane.badges import badge
from controlplane.forms.suspensions import LiftForm
from controlplane.models import Suspension
from controlplane.roles import Permission

RULES = {
    "exports": _("exports ordered"), "rows_exported": _("entries fetched"), "deletions": _("things deleted"),
    "keys_revoked": _("keys revoked"), "body_reads": _("contents read"), "refusals": _("turned away"),
}  # fmt: skip


def is_active(suspension: Suspension) -> bool:
    return suspension.lifted_at is None and suspension.until > timezone.now()


@admin.register(Suspension)
class SuspensionAdmin(ConsoleAdmin):
    read_permission = Permission.USER_READ
    list_display = ("actor_name", "shown_state", "shown_rule", "shown_count", "until", "created_at")
    list_before_template = "console/people_tabs.html"
    search_fields = ("actor_name",)
    sortable_by = ()
    ordering = ("-id",)
    verbs = (
        Verb(
            "lift", _("Lift"), Permission.USER_CHANGE, LiftForm, _("%(name)s is let in again."), icon="lock_open",
            offered=is_active,
        ),
    )  # fmt: skip

    def project_of(self, subject: Suspension) -> None:
        """People and machines belong to the platform."""

    @admin.display(description=_("state"))
    def shown_state(self, suspension: Suspension) -> SafeString:
        if suspension.lifted_at:
            return badge("retired", _("Lifted"))
        return badge("failed", _("Suspended")) if is_active(suspension) else badge("expired", _("Over"))

    @admin.display(description=_("rule"))
    def shown_rule(self, suspension: Suspension) -> Any:
        return RULES.get(suspension.rule, suspension.rule)

    @admin.display(description=_("counted"))
    def shown_count(self, suspension: Suspension) -> Any:
        return _("%(count)d, at most %(most)d in %(minutes)d minutes") % {
            "count": suspension.count, "most": suspension.most, "minutes": suspension.window_seconds // 60,
        }  # fmt: skip

    def facts(self, subject: Suspension) -> list[tuple[Any, Any]]:
        return [
            (_("state"), self.shown_state(subject)), (_("who"), subject.actor_name),
            (_("rule"), self.shown_rule(subject)),
            (_("counted"), self.shown_count(subject)), (_("created"), subject.created_at), (_("until"), subject.until),
            (_("lifted"), subject.lifted_at), (_("lifted by"), subject.lifted_by),
        ]  # fmt: skip
