"""API keys of the gateway and tokens of the management API: made once, shown once, revoked for a reason."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from controlplane.access.asking import standing_in
from controlplane.access.lookups import access
from controlplane.actions.create_api_key import NewKey
from controlplane.actions.create_token import NewToken
from controlplane.admin.base import ConsoleAdmin, Verb
from controlplane.admin.limits import limits_of
from controlplane.badges import badge
from controlplane.forms.api_keys import (
    ApiKeyForm,
    ChangeApiKeyForm,
    RevokeApiKeyForm,
    RevokeTokenForm,
    RotateApiKeyForm,
    TokenForm,
)
from controlplane.forms.limits import KeyLimitForm
from controlplane.models import ApiKey, ManagementToken, Project, Route
from controlplane.permissions import Permission


def secret_state(secret: ApiKey | ManagementToken) -> SafeString:
    """Active, expired or revoked, as a badge."""
    if secret.revoked_at:
        return badge("revoked", _("Revoked"))
    if secret.expires_at and secret.expires_at <= timezone.now():
        return badge("expired", _("Expired"))
    return badge("active", _("Active"))


class StateFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        del request, model_admin
        return [("active", _("Active")), ("expired", _("Expired")), ("revoked", _("Revoked"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        del request
        now = timezone.now()
        match self.value():
            case "active":
                return queryset.filter(revoked_at=None).exclude(expires_at__lte=now)
            case "expired":
                return queryset.filter(revoked_at=None, expires_at__lte=now)
            case "revoked":
                return queryset.exclude(revoked_at=None)
        return queryset


@admin.register(ApiKey)
class ApiKeyAdmin(ConsoleAdmin):
    read_permission = Permission.API_KEY_READ
    list_display = (
        "name",
        "shown_id",
        "shown_state",
        "project",
        "shown_routes",
        "expires_at",
        "last_used_at",
        "created_by",
        "created_at",
    )
    list_select_related = ("project",)
    list_filter = (StateFilter, ("project", admin.RelatedOnlyFieldListFilter))
    search_fields = ("name", "key_id")
    add_form = ApiKeyForm
    add_permission = Permission.API_KEY_CREATE
    add_title = _("New API key")
    verbs = (
        Verb(
            "limit", _("Set limits"), Permission.LIMIT_CHANGE, KeyLimitForm, _("The limit of %(name)s was changed."),
            icon="speed", offered=lambda key: key.revoked_at is None,
        ),
        Verb(
            "change", _("Change"), Permission.API_KEY_CHANGE, ChangeApiKeyForm, _("%(name)s was changed."),
            icon="tune", offered=lambda key: key.revoked_at is None,
        ),
        Verb(
            "rotate", _("New secret"), Permission.API_KEY_ROTATE, RotateApiKeyForm, "",
            icon="autorenew", offered=lambda key: key.usable,
        ),
        Verb(
            "revoke", _("Revoke"), Permission.API_KEY_REVOKE, RevokeApiKeyForm, _("%(name)s was revoked."),
            icon="block", danger=True,
            warning=_("Every gateway refuses the key within a second. This cannot be undone."),
            offered=lambda key: key.revoked_at is None,
        ),
    )  # fmt: skip

    @admin.display(description=_("key"))
    def shown_id(self, key: ApiKey) -> SafeString:
        return format_html("<code>sbx_{}_…</code>", key.key_id)

    @admin.display(description=_("state"))
    def shown_state(self, key: ApiKey) -> SafeString:
        return secret_state(key)

    @admin.display(description=_("routes"))
    def shown_routes(self, key: ApiKey) -> Any:
        return ", ".join(key.routes) if key.routes else _("all of its project")

    def add_initial(self, request: HttpRequest) -> dict[str, Any]:
        mine = access(Project, standing_in(request), Permission.API_KEY_CREATE)
        default = mine.order_by("created_at").first()
        return {"project": default.pk if default else None, **super().add_initial(request)}

    def added(self, request: HttpRequest, result: NewKey) -> HttpResponse:
        more = {"use": "key", "model": _example_route(request, result.key), "gateway_url": settings.GATEWAY_URL}
        return self.show_once(request, result.key.name, result.token, more)

    def verb_done(self, request: HttpRequest, verb: Verb, result: Any) -> HttpResponse:
        return self.added(request, result) if verb.name == "rotate" else super().verb_done(request, verb, result)

    def facts(self, subject: ApiKey) -> list[tuple[Any, Any]]:
        return [
            (_("state"), secret_state(subject)),
            (_("key"), self.shown_id(subject)),
            (_("project"), subject.project),
            (_("routes"), self.shown_routes(subject)),
            (_("endpoints"), ", ".join(subject.endpoints) if subject.endpoints else _("all")),
            (_("networks"), ", ".join(subject.cidrs) if subject.cidrs else _("anywhere")),
            (_("limits"), limits_of(subject)),
            (_("created"), subject.created_at),
            (_("created by"), subject.created_by),
            (_("expires"), subject.expires_at or _("never")),
            (_("last used"), subject.last_used_at or _("not yet")),
            *_overlap(subject),
            (_("revoked"), subject.revoked_at),
        ]


def _overlap(key: ApiKey) -> list[tuple[Any, Any]]:
    """The two facts about the old secret while it is let in."""
    if not key.overlapping:
        return []
    used = key.previous_last_used_at or _("not since the rotation")
    return [(_("old secret ends"), key.previous_expires_at), (_("old secret last used"), used)]


@admin.register(ManagementToken)
class ManagementTokenAdmin(ConsoleAdmin):
    read_permission = Permission.TOKEN_READ
    list_display = ("name", "user", "shown_state", "expires_at", "created_at")
    list_select_related = ("user",)
    list_filter = (StateFilter,)
    search_fields = ("name", "user__username")
    add_form = TokenForm
    add_permission = Permission.TOKEN_CREATE
    add_title = _("New management token")
    verbs = (
        Verb(
            "revoke", _("Revoke"), Permission.TOKEN_REVOKE, RevokeTokenForm, _("%(name)s was revoked."),
            icon="block", danger=True,
            warning=_("The management API refuses the token at once. This cannot be undone."),
            offered=lambda token: token.revoked_at is None,
        ),
    )  # fmt: skip

    def project_of(self, subject: ManagementToken) -> Project | None:
        return subject.service_account.project if subject.service_account else None

    @admin.display(description=_("state"))
    def shown_state(self, token: ManagementToken) -> SafeString:
        return secret_state(token)

    def add_initial(self, request: HttpRequest) -> dict[str, Any]:
        return {"user": request.user.pk, **super().add_initial(request)}

    def added(self, request: HttpRequest, result: NewToken) -> HttpResponse:
        more = {"use": "token", "console_url": settings.CONSOLE_URL}
        return self.show_once(request, result.row.name, result.token, more)

    def facts(self, subject: ManagementToken) -> list[tuple[Any, Any]]:
        return [
            (_("state"), secret_state(subject)),
            (_("Acts as"), subject.user),
            (_("created"), subject.created_at),
            (_("expires"), subject.expires_at or _("never")),
            (_("revoked"), subject.revoked_at),
        ]


def _example_route(request: HttpRequest, key: ApiKey) -> str:
    if key.routes:
        return str(key.routes[0])
    routes = access(Route, standing_in(request))
    route = routes.filter(project=None).first() or routes.filter(project=key.project).first()
    return route.name if route else ""
