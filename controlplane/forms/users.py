"""Forms of people. Passwords are drawn by the machine, shown once, and replaced at the first sign-in."""

import secrets
from typing import Any, NamedTuple

from django import forms
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from audit.record import Actor
from controlplane.actions.create_user import create_user
from controlplane.actions.grant_role import grant_role
from controlplane.actions.issue_password import issue_password
from controlplane.models import Project, User
from controlplane.roles import Permission, Role

from .base import ActionForm


class OneTime(NamedTuple):
    """A person and the password to hand over; it is shown once and stored as a hash only."""

    user: User
    password: str


class UserForm(ActionForm):
    testid = "user-form"

    username = forms.CharField(label=_("User name"), max_length=150)
    email = forms.EmailField(label=_("E-mail"), required=False)
    role = forms.ChoiceField(
        label=_("Role"), required=False, choices=[("", _("None yet")), *Role.choices],
        help_text=_("More roles can be granted on the person's page."),
    )  # fmt: skip
    project = forms.ModelChoiceField(
        Project.objects.none(), label=_("Project"), required=False, empty_label=_("The whole platform"),
        help_text=_("Where the role is held."),
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offer_projects(Permission.ROLE_GRANT)

    @transaction.atomic
    def perform(self, actor: Actor) -> OneTime:
        password = secrets.token_urlsafe(15)
        values = self.cleaned_data
        user = create_user(
            username=values["username"], email=values["email"], password=password, actor=actor, reason=self.why
        )
        if values["role"]:
            grant_role(user, role=values["role"], project=values["project"], actor=actor, reason=self.why)
        return OneTime(user, password)


class IssuePasswordForm(ActionForm):
    testid = "issue-password-form"
    reason_required = True

    def perform(self, actor: Actor) -> OneTime:
        password = secrets.token_urlsafe(15)
        return OneTime(issue_password(self.subject, password=password, actor=actor, reason=self.why), password)
