"""People who sign in. Their passwords are their own: the console gives out one-time ones and shows no hash."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from controlplane.admin.base import ConsoleAdmin, Verb
from controlplane.badges import badge
from controlplane.forms.users import IssuePasswordForm, OneTime, UserForm
from controlplane.models import User
from controlplane.permissions import Permission

admin.site.unregister(Group)  # Django's page would write past the actions, and rights do not hang on groups


@admin.register(User)
class UserAdmin(ConsoleAdmin):
    read_permission = Permission.USER_READ
    list_display = ("username", "email", "shown_role", "shown_password", "last_login", "date_joined")
    list_filter = ("is_superuser", "must_change_password")
    search_fields = ("username", "email")
    ordering = ("username",)
    add_form = UserForm
    add_permission = Permission.USER_CREATE
    add_title = _("New user")
    verbs = (
        Verb(
            "issue_password", _("New one-time password"), Permission.USER_CREATE, IssuePasswordForm, "",
            icon="lock_reset", danger=True,
            warning=_("The present password ends at once, and all sessions of this user with it."),
        ),
    )  # fmt: skip

    def project_of(self, subject: User) -> None:
        """People belong to the platform."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        found: QuerySet[User] = super().get_queryset(request)
        return found.defer("password")

    @admin.display(description=_("role"), ordering="is_superuser")
    def shown_role(self, user: User) -> Any:
        return _("administrator") if user.is_superuser else _("onlooker")

    @admin.display(description=_("password"), ordering="must_change_password")
    def shown_password(self, user: User) -> Any:
        return badge("expiring", _("one-time")) if user.must_change_password else badge("active", _("their own"))

    def added(self, request: HttpRequest, result: OneTime) -> HttpResponse:
        return self.show_once(request, result.user.username, result.password, {"use": "password"})

    def verb_done(self, request: HttpRequest, verb: Verb, result: OneTime) -> HttpResponse:
        del verb
        return self.show_once(request, result.user.username, result.password, {"use": "password"})

    def facts(self, subject: User) -> list[tuple[Any, Any]]:
        return [
            (_("user name"), subject.username),
            (_("e-mail"), subject.email),
            (_("role"), self.shown_role(subject)),
            (_("password"), self.shown_password(subject)),
            (_("last sign-in"), subject.last_login or _("not yet")),
            (_("created"), subject.date_joined),
        ]
