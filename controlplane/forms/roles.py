"""Forms of roles: giving one to a person or a machine, and taking it away."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from audit.record import Actor
from controlplane.access.lookups import grantable
from controlplane.actions.grant_role import grant_role
from controlplane.actions.revoke_role import revoke_role
from controlplane.models import Project, RoleBinding, ServiceAccount, User
from controlplane.roles import Permission, Role

from .base import ActionForm


class RoleForm(ActionForm):
    """Which role, and where."""

    testid = "role-form"

    role = forms.ChoiceField(label=_("Role"), choices=Role.choices, initial=Role.VIEWER)
    project = forms.ModelChoiceField(
        Project.objects.none(), label=_("Project"), required=False, empty_label=_("The whole platform")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offer_projects(Permission.ROLE_GRANT)

    def grant(self, holder: User | ServiceAccount, actor: Actor) -> RoleBinding:
        values = self.cleaned_data
        return grant_role(holder, role=values["role"], project=values["project"], actor=actor, reason=self.why)


class BindingForm(RoleForm):
    """Anybody's: a person by name, or a machine."""

    user = forms.CharField(label=_("User name"), max_length=150, required=False)
    service_account = forms.ModelChoiceField(
        ServiceAccount.objects.none(), label=_("Service account"), required=False, empty_label="—",
        help_text=_("Instead of a person."),
    )  # fmt: skip
    field_order = ("user", "service_account", "role", "project")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offer("service_account", self.seen(ServiceAccount))

    def clean_user(self) -> User | None:
        name = self.cleaned_data["user"]
        found = grantable(self.standing).filter(username=name).first() if name else None
        if name and found is None:
            raise forms.ValidationError(_("There is nobody of that name."))
        return found

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        if "user" not in self.errors and bool(values.get("user")) == bool(values.get("service_account")):
            self.add_error("user", _("Name a user or a service account, and only one."))
        return values

    def perform(self, actor: Actor) -> RoleBinding:
        return self.grant(self.cleaned_data["user"] or self.cleaned_data["service_account"], actor)


class UsersRoleForm(RoleForm):
    """Of the person whose page it is."""

    def perform(self, actor: Actor) -> User:
        self.grant(self.subject, actor)
        return self.subject  # type: ignore[no-any-return]


class RevokeRoleForm(ActionForm):
    testid = "revoke-form"
    reason_required = True

    def perform(self, actor: Actor) -> RoleBinding:
        revoke_role(self.subject, actor=actor, reason=self.why)
        return self.subject  # type: ignore[no-any-return]
