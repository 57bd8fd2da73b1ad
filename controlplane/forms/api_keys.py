"""Forms of API keys, projects and management tokens."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit.record import Actor
from controlplane.actions.change_api_key import change_api_key
from controlplane.actions.change_project import change_project
from controlplane.actions.create_api_key import NewKey, create_api_key
from controlplane.actions.create_project import create_project
from controlplane.actions.create_token import NewToken, create_token
from controlplane.actions.erase_bodies import erase_bodies
from controlplane.actions.revoke_api_key import revoke_api_key
from controlplane.actions.revoke_token import revoke_token
from controlplane.actions.rotate_api_key import rotate_api_key
from controlplane.models import ApiKey, BodyKey, ManagementToken, Project, Route, User
from controlplane.models.access import DataDomain, RegisterMode
from controlplane.roles import Permission
from inference.contract import endpoints

from .base import ActionForm

MODE_HELP = _(
    "Who, when, what and how much is always kept; digests prove later what was asked and answered. "
    "Contents lie encrypted, and each look at them is an event."
)
MEDIA_HELP = _("From which its requests may let engines fetch images and sound, one a line. None: data URLs only.")
LIFETIMES = (
    ("", _("Never")),
    ("7", _("In 7 days")),
    ("30", _("In 30 days")),
    ("90", _("In 90 days")),
    ("365", _("In one year")),
)
OVERLAPS = (
    ("0", _("At once: it has leaked")),
    ("3600", _("In one hour")),
    ("86400", _("In one day")),
    ("604800", _("In 7 days")),
    ("2592000", _("In 30 days")),
)


def expiry(days: str, now: datetime) -> datetime | None:
    """The moment that a choice of `LIFETIMES` means."""
    return now + timedelta(days=int(days)) if days else None


class WordsField(forms.CharField):
    """A list, written with spaces, commas or line breaks between its entries; may be empty."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, widget=forms.Textarea(attrs={"rows": 3}), **kwargs)

    def clean(self, value: Any) -> list[str]:
        return str(super().clean(value)).replace(",", " ").split()

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value


class ApiKeyForm(ActionForm):
    testid = "api-key-form"

    name = forms.CharField(
        label=_("Name"), max_length=100, help_text=_("Who or what will use it, such as billing-bot.")
    )
    project = forms.ModelChoiceField(Project.objects.none(), label=_("Project"), empty_label=None)
    routes = forms.MultipleChoiceField(
        label=_("Routes"), required=False, widget=forms.CheckboxSelectMultiple,
        help_text=_("None ticked: all routes that the project may call, those to come included."),
    )  # fmt: skip
    endpoints = forms.MultipleChoiceField(
        label=_("Endpoints"), required=False, widget=forms.CheckboxSelectMultiple,
        choices=[(name, name) for name in endpoints.NAMES], help_text=_("None ticked: everything."),
    )  # fmt: skip
    cidrs = WordsField(
        label=_("Networks"), help_text=_("From which it may be used, such as 10.0.0.0/8, one a line. None: anywhere.")
    )
    lifetime = forms.ChoiceField(label=_("Expires"), required=False, choices=LIFETIMES, initial="90")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offer_projects(Permission.API_KEY_CREATE)
        self.fields["project"].required = True
        names = self.seen(Route).values_list("name", flat=True)
        self.fields["routes"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]

    def perform(self, actor: Actor) -> NewKey:
        values = self.cleaned_data
        return create_api_key(
            project=values["project"], name=values["name"], routes=values["routes"] or None,
            endpoints=values["endpoints"], cidrs=values["cidrs"],
            expires_at=expiry(values["lifetime"], timezone.now()), actor=actor, reason=self.why,
        )  # fmt: skip


class ChangeApiKeyForm(ActionForm):
    testid = "change-key-form"

    name = forms.CharField(label=_("Name"), max_length=100)
    routes = forms.MultipleChoiceField(
        label=_("Routes"), required=False, widget=forms.CheckboxSelectMultiple,
        help_text=_("None ticked: all routes that the project may call, those to come included."),
    )  # fmt: skip
    endpoints = forms.MultipleChoiceField(
        label=_("Endpoints"), required=False, widget=forms.CheckboxSelectMultiple,
        choices=[(name, name) for name in endpoints.NAMES], help_text=_("None ticked: everything."),
    )  # fmt: skip
    cidrs = WordsField(
        label=_("Networks"), help_text=_("From which it may be used, such as 10.0.0.0/8, one a line. None: anywhere.")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = {*self.seen(Route).values_list("name", flat=True), *(self.subject.routes or ())}
        self.fields["routes"].choices = [(name, name) for name in sorted(names)]  # type: ignore[attr-defined]
        for name in ("name", "routes", "endpoints", "cidrs"):
            self.initial.setdefault(name, getattr(self.subject, name))

    def perform(self, actor: Actor) -> ApiKey:
        values = self.cleaned_data
        return change_api_key(
            self.subject, name=values["name"], routes=values["routes"] or None, endpoints=values["endpoints"] or None,
            cidrs=values["cidrs"] or None, actor=actor, reason=self.why,
        )  # fmt: skip


class RotateApiKeyForm(ActionForm):
    testid = "rotate-form"

    overlap = forms.ChoiceField(
        label=_("The old secret ends"), choices=OVERLAPS, initial="86400",
        help_text=_("Until then both are let in, so that clients can be changed one after another."),
    )  # fmt: skip

    def perform(self, actor: Actor) -> NewKey:
        overlap = timedelta(seconds=int(self.cleaned_data["overlap"]))
        return rotate_api_key(self.subject, overlap=overlap, actor=actor, reason=self.why)


class RevokeApiKeyForm(ActionForm):
    testid = "revoke-form"
    reason_required = True

    def perform(self, actor: Actor) -> ApiKey:
        return revoke_api_key(self.subject, actor=actor, reason=self.why)


def _register_mode() -> forms.ChoiceField:
    return forms.ChoiceField(
        label=_("What the register keeps"), choices=RegisterMode.choices,
        required=False, initial=RegisterMode.DIGEST, help_text=MODE_HELP,
    )  # fmt: skip


def _data_domain() -> forms.ChoiceField:
    return forms.ChoiceField(
        label=_("Data domain"), choices=DataDomain.choices, required=False, initial=DataDomain.BUSINESS,
        help_text=_("What its contents are; told with whatever is kept of them."),
    )  # fmt: skip


class ProjectForm(ActionForm):
    testid = "project-form"

    name = forms.CharField(label=_("Name"), max_length=52, help_text=_("Lower-case letters, digits and hyphens."))
    title = forms.CharField(label=_("Title"), max_length=200, required=False, help_text=_("What people call it."))
    media_hosts = WordsField(label=_("Media hosts"), help_text=MEDIA_HELP)
    register_mode = _register_mode()
    data_domain = _data_domain()

    def perform(self, actor: Actor) -> Project:
        values = self.cleaned_data
        return create_project(
            name=values["name"], title=values["title"], media_hosts=values["media_hosts"],
            register_mode=values["register_mode"] or RegisterMode.DIGEST,
            data_domain=values["data_domain"] or DataDomain.BUSINESS, actor=actor, reason=self.why,
        )  # fmt: skip


class ChangeProjectForm(ActionForm):
    testid = "change-project-form"

    title = forms.CharField(label=_("Title"), max_length=200, required=False, help_text=_("What people call it."))
    media_hosts = WordsField(label=_("Media hosts"), help_text=MEDIA_HELP)
    register_mode = _register_mode()
    data_domain = _data_domain()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.setdefault("title", self.subject.title)
        self.initial.setdefault("media_hosts", self.subject.media_hosts)
        self.initial.setdefault("register_mode", self.subject.register_mode)
        self.initial.setdefault("data_domain", self.subject.data_domain)

    def perform(self, actor: Actor) -> Project:
        values = self.cleaned_data
        return change_project(
            self.subject, title=values["title"], media_hosts=values["media_hosts"],
            register_mode=values["register_mode"] or None, data_domain=values["data_domain"] or None, actor=actor,
            reason=self.why,
        )  # fmt: skip


class EraseBodiesForm(ActionForm):
    testid = "erase-bodies-form"
    reason_required = True

    person = forms.ChoiceField(label=_("Person"), help_text=_("Who made the API keys that it was sent with."))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kept = self.subject.body_keys.filter(shredded_at=None).order_by("person")
        self.fields["person"].choices = [(name, name) for name in kept.values_list("person", flat=True)]  # type: ignore[attr-defined]

    def perform(self, actor: Actor) -> BodyKey:
        return erase_bodies(self.subject, person=self.cleaned_data["person"], actor=actor, reason=self.why)


class TokenForm(ActionForm):
    testid = "token-form"

    name = forms.CharField(label=_("Name"), max_length=100, help_text=_("Which script or system will use it."))
    user = forms.ModelChoiceField(
        User.objects.none(), label=_("Acts as"), empty_label=None,
        help_text=_("The token may do what this user may do."),
    )  # fmt: skip
    lifetime = forms.ChoiceField(label=_("Expires"), required=False, choices=LIFETIMES, initial="90")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offer("user", self.seen(User).filter(is_active=True))

    def perform(self, actor: Actor) -> NewToken:
        values = self.cleaned_data
        expires_at = expiry(values["lifetime"], timezone.now())
        return create_token(values["user"], name=values["name"], expires_at=expires_at, actor=actor, reason=self.why)


class RevokeTokenForm(ActionForm):
    testid = "revoke-form"
    reason_required = True

    def perform(self, actor: Actor) -> ManagementToken:
        return revoke_token(self.subject, actor=actor, reason=self.why)
