"""The register as people read it: filtered, searched, one entry told by its five Ws and its H. Read only.

It holds tens of millions of rows, so nothing here counts them, and a question that meets no index
ends after a few seconds.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import OperationalError, connection, transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from audit import guard
from audit.filters import (
    ActorFilter,
    Cursor,
    OperationFilter,
    ProjectFilter,
    SourceFilter,
    StatusFilter,
    TargetFilter,
    TimeFilter,
)
from audit.listing import EventList
from audit.models import Event
from audit.story import of_request, tell

PATIENCE_MS = 5_000
FINE = frozenset({"ok", "accepted", "client_closed"})
"""statuses that ask nobody to look"""


@contextmanager
def bounded() -> Iterator[None]:
    """Queries inside end after `PATIENCE_MS` with `OperationalError`."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(PATIENCE_MS)])
        yield


@admin.register(Event)
class EventAdmin(ModelAdmin):
    list_display = (
        "shown_at",
        "operation",
        "shown_actor",
        "target_name",
        "project",
        "shown_status",
        "source",
        "source_ip",
    )
    list_display_links = ("shown_at", "operation")
    list_filter = (
        Cursor, ("kind", ChoicesDropdownFilter), OperationFilter, ProjectFilter, ActorFilter, TargetFilter,
        StatusFilter, SourceFilter, ("at", TimeFilter),
    )  # fmt: skip
    list_filter_submit = True
    search_fields = ("request_id",)  # shows the box; what it does stands in `audit.finding`
    search_help_text = _("A part of an operation, target, actor or reason; a whole request id")
    list_before_template = "audit/facets.html"
    sortable_by = ()
    ordering = ("-at", "-id")
    list_per_page = 50
    actions = None
    show_facets = admin.ShowFacets.NEVER  # they would count
    show_full_result_count = False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Event | None = None) -> bool:
        del obj
        return guard.may_read(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        return guard.readable(request).order_by(*self.ordering)

    def has_add_permission(self, request: HttpRequest) -> bool:
        del request
        return False

    def has_change_permission(self, request: HttpRequest, obj: Event | None = None) -> bool:
        del request, obj
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Event | None = None) -> bool:
        del request, obj
        return False

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view
        return [
            path("", page(self.changelist_view), name="audit_event_changelist"),
            path("<uuid:object_id>/", page(self.event_page), name="audit_event_change"),
            path("<uuid:object_id>/request/", page(self.story_page), name="audit_event_story"),
        ]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[EventList]:
        del request, kwargs
        return EventList

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Event], search_term: str) -> tuple[Any, bool]:
        """Nothing yet: the list finds texts itself, page by page."""
        del request, search_term
        return queryset, False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        try:
            with bounded():
                page: HttpResponse = super().changelist_view(request, {"heading": _("Audit"), **(extra_context or {})})
                return page
        except OperationalError:
            messages.warning(request, _("The register did not answer in time. Narrow the time range and ask again."))
            return HttpResponseRedirect(reverse("admin:audit_event_changelist"))

    @admin.display(description=_("time"))
    def shown_at(self, event: Event) -> SafeString:
        return format_html('<span class="sb-number">{}</span>', _local(event.at))

    @admin.display(description=_("actor"))
    def shown_actor(self, event: Event) -> str:
        return event.actor_name or event.actor_type

    @admin.display(description=_("status"))
    def shown_status(self, event: Event) -> SafeString:
        return format_html('<span class="sb-event-{}">{}</span>', "ok" if event.status in FINE else "not", event.status)

    def event_page(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """One entry in plain words, and beside it the other entries of the same request."""
        event, events = self._find(request, object_id)
        context = {
            "heading": event.operation, "event": event, "questions": questions(event), "digests": digests(event),
            "story": of_request(events, event.request_id) if event.request_id else [event],
        }  # fmt: skip
        return self._page(request, "audit/event.html", context)

    def story_page(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """What became of the entry's request, step by step."""
        event, events = self._find(request, object_id)
        story = of_request(events, event.request_id) if event.request_id else [event]
        heading = _("Request %(id)s") % {"id": event.request_id or "—"}
        context = {"heading": heading, "event": event, "steps": tell(story)}
        return self._page(request, "audit/story.html", context)

    def _find(self, request: HttpRequest, object_id: UUID) -> tuple[Event, QuerySet[Event]]:
        """The entry, and all that may be seen."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        events = guard.readable(request)
        event = events.filter(pk=object_id).first()
        if event is None:
            raise Http404
        return event, events

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        crumbs = [(_("Audit"), reverse("admin:audit_event_changelist"))]
        whole = {**self.admin_site.each_context(request), "title": context["heading"], "crumbs": crumbs, **context}
        return TemplateResponse(request, template, whole)


def questions(event: Event) -> list[tuple[Any, list[tuple[Any, Any]]]]:
    """The five Ws and the H with their answers; what is empty is left out by the page."""
    return [
        (_("Who"), [
            (_("actor"), event.actor_name), (_("actor type"), event.actor_type), (_("actor id"), event.actor_id),
            (_("signed in by"), event.auth_method),
        ]),
        (_("What"), [
            (_("operation"), event.operation), (_("kind"), event.get_kind_display()),
            (_("target"), event.target_name), (_("target type"), event.target_type), (_("target id"), event.target_id),
            (_("project"), event.project), (_("route"), event.route), (_("model version"), event.model_version),
        ]),
        (_("When"), [
            (_("time"), _exact(event.at)), (_("started"), _exact(event.started_at)),
            (_("ended"), _exact(event.ended_at)),
        ]),
        (_("Where"), [
            (_("address"), event.source_ip), (_("host"), event.host), (_("region"), event.region),
            (_("replica"), event.replica),
        ]),
        (_("Why"), [(_("reason"), event.reason), (_("ticket"), event.ticket)]),
        (_("How"), [
            (_("source"), event.source), (_("client"), event.client), (_("request id"), event.request_id),
            (_("parent"), event.parent_id), (_("writer"), event.writer), (_("writer's counter"), event.writer_seq),
        ]),
        (_("With what result"), [
            (_("status"), event.status), (_("status code"), event.status_code),
            (_("prompt tokens"), event.prompt_tokens), (_("completion tokens"), event.completion_tokens),
        ]),
    ]  # fmt: skip


def digests(event: Event) -> list[tuple[Any, str]]:
    """Input and output as their digests in hexadecimal: the texts themselves are not in the register."""
    named = ((_("digest of the input"), event.input_digest), (_("digest of the output"), event.output_digest))
    return [(name, bytes(digest).hex()) for name, digest in named if digest]


def _exact(moment: Any) -> str:
    return timezone.localtime(moment).isoformat(sep=" ", timespec="milliseconds") if moment else ""


def _local(moment: Any) -> str:
    return timezone.localtime(moment).strftime("%Y-%m-%d %H:%M:%S")
