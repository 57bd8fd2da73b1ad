"""Ordering an export of the register, and stopping one."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from audit.exporting import Format
from audit.finding import Selection
from audit.models import Event
from audit.operations import Operation
from audit.record import Actor
from controlplane.actions.cancel_export import cancel_export
from controlplane.actions.request_export import request_export
from controlplane.models import Export, Project
from controlplane.models.base import one_line
from controlplane.roles import Permission

from .base import ActionForm


def _line(label: Any) -> forms.CharField:
    return forms.CharField(label=label, required=False, max_length=200, validators=[one_line])


class ExportForm(ActionForm):
    testid = "export-form"

    project = forms.ModelChoiceField(
        Project.objects.none(), label=_("Project"), required=False, empty_label=_("The whole register"),
        to_field_name="name",
    )  # fmt: skip
    format = forms.ChoiceField(
        label=_("Format"), choices=[(Format.JSONL.value, "JSON Lines"), (Format.CSV.value, "CSV")],
        help_text=_("A line of JSON Lines is what seals are made of. In CSV a cell that a spreadsheet might run begins "
                    "with an apostrophe."),
    )  # fmt: skip
    bom = forms.BooleanField(label=_("For Excel: mark the file as UTF-8"), required=False)
    since = forms.DateTimeField(label=_("From"), required=False)
    until = forms.DateTimeField(label=_("Until"), required=False, help_text=_("Now at the latest."))
    kind = forms.ChoiceField(label=_("Kind"), required=False, choices=[("", "—"), *Event.Kind.choices])
    operation = forms.ChoiceField(
        label=_("Operation"), required=False, choices=[("", "—"), *((it.value, it.value) for it in Operation)]
    )
    actor_name = _line(_("Actor"))
    target_name = _line(_("Target"))
    target_type = _line(_("Target type"))
    target_id = _line(_("Target id"))
    request_id = _line(_("Request id"))
    status = _line(_("Status"))
    source = _line(_("Source"))
    text = _line(_("Text"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offer_projects(Permission.AUDIT_EXPORT)
        self.show_for("bom", f"format={Format.CSV}")

    def perform(self, actor: Actor) -> Export:
        given = self.cleaned_data
        return request_export(
            project=given["project"], form=Format(given["format"]), bom=given["bom"],
            selection=Selection.of(given | {"project": ""}), actor=actor, reason=self.why,
        )  # fmt: skip


class CancelExportForm(ActionForm):
    testid = "export-cancel-form"
    reason_required = True

    def perform(self, actor: Actor) -> Export:
        return cancel_export(self.subject, actor=actor, reason=self.why)
