"""People who sign in. Their passwords are their own: the console gives out one-time ones and shows no hash."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _

from controlplane.access.asking import standing_in
from controlplane.access.lookups import access
from controlplane.admin.base import ConsoleAdmin, Verb, may, may_somewhere
from controlplane.admin.roles import role_badge
from controlplane.badges import badge
from controlplane.forms.roles import UsersRoleForm
from controlplane.forms.users import IssuePasswordForm, OneTime, UserForm
from controlplane.models import RoleBinding, User
from controlplane.roles import Permission

admin.site.unregister(Group)  # Django's page would write past the actions, and rights do not hang on groups


@admin.register(User)
class UserAdmin(ConsoleAdmin):
    read_permission = Permission.USER_READ
    list_display = ("username", "shown_roles", "email", "shown_state", "last_login", "date_joined")
    list_filter = ("is_active", "must_change_password")
    list_before_template = "console/people_tabs.html"
    detail_template = "console/user.html"
    search_fields = ("username", "email")
    ordering = ("username",)
    add_form = UserForm
    add_permission = Permission.USER_CREATE
    add_title = _("New user")
    verbs = (
        Verb(
            "grant", _("Grant a role"), Permission.ROLE_GRANT, UsersRoleForm, _("%(name)s now holds the role."),
            icon="person_add", offered=lambda user: user.is_active,
        ),
        Verb(
            "issue_password", _("New one-time password"), Permission.USER_CREATE, IssuePasswordForm, "",
            icon="lock_reset", danger=True,
            warning=_("The present password ends at once, and all sessions of this user with it."),
        ),
    )  # fmt: skip

    def project_of(self, subject: User) -> None:
        """People belong to the platform."""

    def may_do(self, request: HttpRequest, verb: Verb, subject: Any) -> bool:
        """People belong to the platform, their roles to where they are held: the form offers where one may grant."""
        if verb.name == "grant":
            return may_somewhere(request, verb.permission)
        return super().may_do(request, verb, subject)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        found: QuerySet[User] = super().get_queryset(request)
        bindings = access(RoleBinding, standing_in(request)).select_related("project").order_by("created_at")
        return found.defer("password").prefetch_related(Prefetch("role_bindings", bindings, to_attr="seen_bindings"))

    @admin.display(description=_("roles"))
    def shown_roles(self, user: Any) -> Any:
        badges = [role_badge(binding) for binding in user.seen_bindings]
        if user.is_superuser:
            badges.insert(0, badge("on-platform", _("Superuser")))
        return format_html_join("", '<div class="sb-role">{}</div>', ((it,) for it in badges)) or "—"

    @admin.display(description=_("state"), ordering="is_active")
    def shown_state(self, user: User) -> Any:
        if not user.is_active:
            return badge("revoked", _("Disabled"))
        return badge("expiring", _("One-time password")) if user.must_change_password else badge("active", _("Active"))

    def added(self, request: HttpRequest, result: OneTime) -> HttpResponse:
        return self.show_once(request, result.user.username, result.password, {"use": "password"})

    def verb_done(self, request: HttpRequest, verb: Verb, result: Any) -> HttpResponse:
        if verb.name == "grant":
            return super().verb_done(request, verb, result)
        return self.show_once(request, result.user.username, result.password, {"use": "password"})

    def facts(self, subject: User) -> list[tuple[Any, Any]]:
        return [
            (_("user name"), subject.username),
            (_("e-mail"), subject.email),
            (_("roles"), self.shown_roles(subject)),
            (_("state"), self.shown_state(subject)),
            (_("last sign-in"), subject.last_login or _("not yet")),
            (_("created"), subject.date_joined),
        ]

    def detail_context(self, request: HttpRequest, subject: Any) -> dict[str, Any]:
        return {"bindings": [(it, self._revoke_url(request, it)) for it in subject.seen_bindings]}

    def _revoke_url(self, request: HttpRequest, binding: RoleBinding) -> str:
        """Empty for people who may not take it away."""
        if not may(request, Permission.ROLE_GRANT, binding.project):
            return ""
        return reverse("admin:controlplane_rolebinding_do_revoke", args=[binding.pk])
