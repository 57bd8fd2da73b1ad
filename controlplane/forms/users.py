"""Forms of people. Passwords are drawn by the machine, shown once, and replaced at the first sign-in."""

import secrets
from typing import NamedTuple

from django import forms
from django.utils.translation import gettext_lazy as _

from audit.record import Actor
from controlplane.actions.create_user import create_user
from controlplane.actions.issue_password import issue_password
from controlplane.models import User

from .base import ActionForm


class OneTime(NamedTuple):
    """A person and the password to hand over; it is shown once and stored as a hash only."""

    user: User
    password: str


class UserForm(ActionForm):
    testid = "user-form"

    username = forms.CharField(label=_("User name"), max_length=150)
    email = forms.EmailField(label=_("E-mail"), required=False)
    superuser = forms.BooleanField(
        label=_("Administrator"),
        required=False,
        help_text=_("May change everything. Others may look at what is served."),
    )

    def perform(self, actor: Actor) -> OneTime:
        password = secrets.token_urlsafe(15)
        values = self.cleaned_data
        user = create_user(
            username=values["username"], email=values["email"], superuser=values["superuser"], password=password,
            actor=actor, reason=self.why,
        )  # fmt: skip
        return OneTime(user, password)


class IssuePasswordForm(ActionForm):
    testid = "issue-password-form"
    reason_required = True

    def perform(self, actor: Actor) -> OneTime:
        password = secrets.token_urlsafe(15)
        return OneTime(issue_password(self.subject, password=password, actor=actor, reason=self.why), password)
