"""Legal holds: what of the register must not go, whatever its age."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext_lazy as _

from audit.models import Hold
from controlplane.admin.base import ConsoleAdmin, Verb
from controlplane.forms.holds import LiftHoldForm, PlaceHoldForm
from controlplane.roles import Permission


@admin.register(Hold)
class HoldAdmin(ConsoleAdmin):
    read_permission = Permission.AUDIT_HOLD_READ
    list_display = ("name", "of", "reason", "placed_by", "placed_at")
    list_filter = ("of",)
    search_fields = ("name",)
    sortable_by = ()
    ordering = ("-id",)
    add_form = PlaceHoldForm
    add_permission = Permission.AUDIT_HOLD_PLACE
    add_title = _("New legal hold")
    verbs = (
        Verb(
            "lift", _("Lift"), Permission.AUDIT_HOLD_LIFT, LiftHoldForm, _("%(name)s was lifted."), icon="lock_open",
            danger=True, warning=_("What it kept goes with its month, once that is old enough and exported."),
        ),
    )  # fmt: skip

    def project_of(self, subject: Hold) -> None:
        """Holds belong to the platform."""

    def verb_done(self, request: HttpRequest, verb: Verb, result: Any) -> HttpResponse:
        messages.success(request, verb.done % {"name": result})
        return HttpResponseRedirect(self.link("changelist"))

    def facts(self, subject: Hold) -> list[tuple[Any, Any]]:
        return [
            (_("of"), subject.get_of_display()), (_("name"), subject.name), (_("reason"), subject.reason),
            (_("placed by"), subject.placed_by), (_("placed"), subject.placed_at),
        ]  # fmt: skip
