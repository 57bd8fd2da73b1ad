"""Channels and the log of what was sent through them."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from controlplane.admin.base import ConsoleAdmin, Verb
from controlplane.badges import badge
from controlplane.forms.channels import ChangeChannelForm, ChannelForm, DeleteChannelForm, TryChannelForm
from controlplane.models import Channel, Delivery
from controlplane.permissions import Permission

TABS = "console/alert_tabs.html"
DELIVERIES_SHOWN = 20


@admin.register(Channel)
class ChannelAdmin(ConsoleAdmin):
    read_permission = Permission.CHANNEL_READ
    list_display = ("name", "kind", "shown_url", "min_severity", "shown_state", "shown_project")
    list_select_related = ("project", "broken")
    list_filter = ("kind",)
    list_before_template = TABS
    search_fields = ("name",)
    add_form = ChannelForm
    add_permission = Permission.CHANNEL_CREATE
    add_title = _("New channel")
    detail_template = "console/channel.html"
    verbs = (
        Verb(
            "test", _("Send a test"), Permission.CHANNEL_TEST, TryChannelForm,
            _("A test message for %(name)s is on its way; its answer stands below in a moment."), icon="send",
        ),
        Verb("change", _("Change"), Permission.CHANNEL_CHANGE, ChangeChannelForm, _("%(name)s was changed."),
             icon="tune"),
        Verb(
            "delete", _("Delete"), Permission.CHANNEL_DELETE, DeleteChannelForm, _("%(name)s was deleted."),
            icon="delete", danger=True, warning=_("Its deliveries go with it."),
        ),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Channel]:
        found: QuerySet[Channel] = super().get_queryset(request)
        return found.select_related("project", "broken")

    @admin.display(description=_("state"))
    def shown_state(self, channel: Channel) -> Any:
        if getattr(channel, "broken", None):
            return badge("failed", _("Broken"))
        return badge("active", _("On")) if channel.enabled else badge("stopped", _("Off"))

    @admin.display(description=_("project"), ordering="project__name")
    def shown_project(self, channel: Channel) -> Any:
        return channel.project or _("the platform")

    def verb_done(self, request: HttpRequest, verb: Verb, result: Channel) -> HttpResponse:
        if verb.name != "delete":
            return super().verb_done(request, verb, result)
        messages.success(request, verb.done % {"name": result})
        return HttpResponseRedirect(self.link("changelist"))

    def facts(self, subject: Channel) -> list[tuple[Any, Any]]:
        broken = getattr(subject, "broken", None)
        return [
            (_("state"), self.shown_state(subject)),
            (_("why it is broken"), broken and f"{broken.message}"),
            (_("kind"), subject.get_kind_display()),
            (_("URL"), subject.shown_url),
            (_("signed"), _("yes") if subject.sealed_secret else _("no")),
            (_("language"), subject.get_language_display()),
            (_("from severity"), subject.get_min_severity_display()),
            (_("messages an hour"), subject.hourly_cap),
            (_("tell recoveries"), _("yes") if subject.send_recovery else _("no")),
            (_("project"), subject.project or _("the platform")),
        ]

    def detail_context(self, request: HttpRequest, subject: Channel) -> dict[str, Any]:
        del request
        return {
            "deliveries": subject.deliveries.order_by("-id")[:DELIVERIES_SHOWN],
            "waiting": subject.notices.filter(delivery=None).count(),
        }


@admin.register(Delivery)
class DeliveryAdmin(ConsoleAdmin):
    read_permission = Permission.CHANNEL_READ
    list_display = ("shown_title", "channel", "shown_state", "notices", "attempts", "shown_status", "created_at")
    list_select_related = ("channel",)
    list_filter = ("state", "test")
    list_before_template = TABS
    search_fields = ("title", "channel__name")
    detail_template = "console/delivery.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        found: QuerySet[Delivery] = super().get_queryset(request)
        return found.select_related("channel__project")

    @admin.display(description=_("message"), ordering="title")
    def shown_title(self, delivery: Delivery) -> Any:
        return delivery.title or (_("test message") if delivery.test else "—")

    @admin.display(description=_("state"), ordering="state")
    def shown_state(self, delivery: Delivery) -> SafeString:
        return badge(delivery.state, delivery.get_state_display())

    @admin.display(description=_("HTTP status"), ordering="status_code")
    def shown_status(self, delivery: Delivery) -> int | None:
        return delivery.status_code

    def facts(self, subject: Delivery) -> list[tuple[Any, Any]]:
        channel = format_html(
            '<a href="{}">{}</a>', reverse("admin:controlplane_channel_change", args=[subject.channel_id]),
            subject.channel,
        )  # fmt: skip
        return [
            (_("channel"), channel),
            (_("state"), self.shown_state(subject)),
            (_("reason"), subject.reason),
            (_("alerts told"), subject.notices),
            (_("attempts"), subject.attempts),
            (_("perhaps sent twice"), _("yes") if subject.maybe_twice else ""),
            (_("sent"), subject.sent_at),
            (_("created"), subject.created_at),
        ]

    def detail_context(self, request: HttpRequest, subject: Delivery) -> dict[str, Any]:
        del request
        return {
            "heading": str(self.shown_title(subject)),
            "tries": subject.tries.order_by("-at", "-id")[:DELIVERIES_SHOWN],
            "told": subject.told.select_related("alert").order_by("id")[:500],
        }
