"""Exports of the register: ordered here, written by workers, fetched by who ordered them."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from controlplane import actors, downloads
from controlplane.actions.suspend_actor import suspend_actor
from controlplane.admin.base import ConsoleAdmin, Verb
from controlplane.badges import badge
from controlplane.errors import NotAllowed, Refused
from controlplane.forms.exports import CancelExportForm, ExportForm
from controlplane.guard import Abnormal
from controlplane.lifecycle import ExportState
from controlplane.models import Export
from controlplane.roles import Permission

TROUBLES = {
    "disk_full": _("The disk of the export directory is full. It is tried again every half minute; nothing is lost."),
    "directory_unusable": _("The export directory cannot be written. It is tried again every half minute."),
    "file_gone": _("What was written already is gone from the export directory. Order it anew."),
    "not_canonical": _("The register holds an entry or a seal that Signalbox has not written: verify the register."),
    "unexpected": _("It broke off for a reason that only the worker's log knows. It is tried again every half minute."),
    "waiting_for_seals": _("All entries are written. Waiting a moment until the last ones are sealed and signed."),
    "right_taken_away": _("Who ordered it may not export any more."),
}
FILES = {
    "content": _("Entries"), "leaves": _("Leaf hashes"), "manifest": _("Manifest"), "signature": _("Signature"),
}  # fmt: skip


@admin.register(Export)
class ExportAdmin(ConsoleAdmin):
    read_permission = Permission.AUDIT_EXPORT
    list_display = ("shown_name", "shown_state", "shown_progress", "rows", "project", "format", "requester_name")
    list_display_links = ("shown_name",)
    list_select_related = ("project",)
    list_filter = ("state", "format")
    sortable_by = ()
    ordering = ("-id",)
    detail_template = "console/export.html"
    add_form = ExportForm
    add_permission = Permission.AUDIT_EXPORT
    add_title = _("New export")
    verbs = (
        Verb(
            "cancel", _("Cancel"), Permission.AUDIT_EXPORT, CancelExportForm, _("%(name)s was cancelled."),
            icon="cancel", danger=True, warning=_("What is written already is deleted."),
            offered=lambda export: export.state in {ExportState.PENDING, ExportState.RUNNING},
        ),
    )  # fmt: skip

    def more_urls(self) -> list[tuple[str, str, Callable[..., Any]]]:
        return [("<str:object_id>/download/", "download", self.download_page)]

    @admin.display(description=_("export"))
    def shown_name(self, export: Export) -> str:
        return str(export)

    @admin.display(description=_("state"))
    def shown_state(self, export: Export) -> SafeString:
        return badge(export.state, export.get_state_display())

    @admin.display(description=_("progress"))
    def shown_progress(self, export: Export) -> SafeString:
        return format_html(
            '<progress max="100" value="{}" aria-label="{}"></progress> {} %',
            export.progress, _("progress"), export.progress,
        )  # fmt: skip

    def facts(self, subject: Export) -> list[tuple[Any, Any]]:
        return [
            (_("state"), self.shown_state(subject)),
            (_("progress"), self.shown_progress(subject)),
            (_("entries"), f"{subject.rows:,}"),
            (_("not sealed yet"), f"{subject.unsealed:,}" if subject.unsealed else ""),
            (_("size"), filesizeformat(subject.bytes)),
            (_("project"), subject.project or _("the whole register")),
            (_("format"), subject.format),
            *((_(name), value) for name, value in subject.selection.items()),
            (_("asked for by"), subject.requester_name),
            (_("created"), subject.created_at),
            (_("finished"), subject.finished_at),
            (_("kept until"), subject.expires_at),
            ("SHA-256", subject.sha256),
        ]

    def detail_context(self, request: HttpRequest, subject: Export) -> dict[str, Any]:
        files = []
        if subject.state == ExportState.DONE:
            offered = downloads.offered(subject, actors.from_request(request, source="ui"))
            here = self.link("download", subject.pk)
            files = [(FILES[it.name], it, f"{here}?{urlencode({'ticket': it.ticket})}") for it in offered]
        return {"files": files, "trouble": TROUBLES.get(subject.problem, subject.problem)}

    def download_page(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        export = self.find(request, object_id)
        try:
            return downloads.fetch(
                request, export, request.GET.get("ticket", ""), actor=actors.from_request(request, source="ui")
            )
        except NotAllowed as exc:
            if isinstance(exc, Abnormal):
                suspend_actor(exc.actor, verdict=exc.verdict)
            raise PermissionDenied(exc.message) from exc
        except Refused as exc:
            return HttpResponse(exc.message, status=400, content_type="text/plain; charset=utf-8")
