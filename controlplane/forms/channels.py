"""Forms of channels: where alerts are told."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from audit.record import Actor
from controlplane.actions.delete_channel import delete_channel
from controlplane.actions.set_channel import change_channel, create_channel
from controlplane.actions.try_channel import try_channel
from controlplane.alerting.addresses import LONGEST, ChannelKind
from controlplane.alerting.metrics import Severity
from controlplane.models import Channel, Project
from controlplane.models.alerts import LANGUAGES
from controlplane.roles import Permission

from .base import ActionForm

FIELDS = ("name", "language", "min_severity", "hourly_cap", "send_recovery", "enabled")


class ChannelFieldsForm(ActionForm):
    """What a channel is made of. Secrets are entered and never shown."""

    testid = "channel-form"

    name = forms.CharField(label=_("Name"), max_length=100)
    url = forms.CharField(
        label=_("URL"), max_length=LONGEST, widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text=_("The robot's whole URL, as the vendor showed it. It is kept sealed and shown masked."),
    )  # fmt: skip
    secret = forms.CharField(
        label=_("Signing secret"), max_length=200, required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text=_("DingTalk: what begins with SEC. Webhook: for the HMAC. WeCom knows none."),
    )  # fmt: skip
    language = forms.ChoiceField(label=_("Language"), choices=LANGUAGES)
    min_severity = forms.ChoiceField(
        label=_("From severity"), choices=Severity.choices, initial=Severity.INFO,
        help_text=_("Milder alerts are not told here."),
    )  # fmt: skip
    hourly_cap = forms.IntegerField(
        label=_("Messages an hour"), initial=120, min_value=1, max_value=1080,
        help_text=_("What goes beyond is gathered into the next messages; nothing is left out."),
    )  # fmt: skip
    send_recovery = forms.BooleanField(label=_("Tell recoveries"), required=False, initial=True)
    enabled = forms.BooleanField(label=_("Enabled"), required=False, initial=True)

    @property
    def values(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in FIELDS}


class ChannelForm(ChannelFieldsForm):
    """A new channel."""

    kind = forms.ChoiceField(label=_("Kind"), choices=ChannelKind.choices)
    project = forms.ModelChoiceField(
        Project.objects.none(), label=_("Project"), required=False, empty_label=_("The whole platform")
    )
    field_order = ("name", "kind", "url", "secret", "project", *FIELDS[1:])

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offer_projects(Permission.CHANNEL_CREATE)

    def perform(self, actor: Actor) -> Channel:
        values = self.cleaned_data
        return create_channel(
            project=values["project"], kind=values["kind"], url=values["url"], secret=values["secret"], **self.values,
            actor=actor, reason=self.why,
        )  # fmt: skip


class ChangeChannelForm(ChannelFieldsForm):
    """Left empty, URL and secret stay as they are."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["url"].required = False
        self.fields["url"].help_text = _("Empty: it stays.")
        self.fields["secret"].help_text = _("Empty: it stays.")
        for name in FIELDS:
            self.fields[name].initial = getattr(self.subject, name)

    def perform(self, actor: Actor) -> Channel:
        values = self.cleaned_data
        return change_channel(
            self.subject, url=values["url"] or None, secret=values["secret"] or None, **self.values,
            actor=actor, reason=self.why,
        )  # fmt: skip


class TryChannelForm(ActionForm):
    testid = "test-channel-form"

    def perform(self, actor: Actor) -> Channel:
        try_channel(self.subject, actor=actor, reason=self.why)
        return self.subject  # type: ignore[no-any-return]


class DeleteChannelForm(ActionForm):
    testid = "delete-form"
    reason_required = True

    def perform(self, actor: Actor) -> Channel:
        delete_channel(self.subject, actor=actor, reason=self.why)
        return self.subject  # type: ignore[no-any-return]
