"""How people and machines prove who they are: service accounts, tokens of the management API, sessions of people."""

from datetime import datetime
from typing import ClassVar

from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .access import Project, User
from .base import Noun, dns_label


class ServiceAccount(Noun):
    """A machine that calls the management API: CI, a script, an operator's controller. It has no password.

    It stands where a `User` stands in a request (``request.user``); what it may do, its role bindings say.
    """

    name = models.CharField(_("name"), max_length=52, validators=[dns_label])
    project = models.ForeignKey(
        Project, models.PROTECT, null=True, blank=True, related_name="service_accounts", verbose_name=_("project"),
        help_text=_("Empty: it belongs to the platform."),
    )  # fmt: skip
    description = models.CharField(_("description"), max_length=500, blank=True)
    is_active = models.BooleanField(_("active"), default=True)

    # What Django and DRF ask of whoever makes a request.
    is_authenticated: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False
    is_superuser: ClassVar[bool] = False
    must_change_password: ClassVar[bool] = False

    class Meta:
        ordering = ("name",)
        verbose_name = _("service account")
        verbose_name_plural = _("service accounts")
        indexes = (models.Index(fields=("name", "id"), name="service_account_by_name"),)
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"], name="service_account_name_is_unique", nulls_distinct=False,
                violation_error_message=_("There is a service account of this name already."),
            )
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.name

    def get_username(self) -> str:
        return self.name


class ManagementTokenQuerySet(models.QuerySet["ManagementToken"]):
    def usable(self) -> "ManagementTokenQuerySet":
        """Tokens that are neither revoked nor expired, of owners that are active."""
        active = Q(user__is_active=True) | Q(service_account__is_active=True)
        return self.filter(active, revoked_at=None).exclude(expires_at__lte=timezone.now())


class ManagementToken(Noun):
    """A bearer token of the management API; acts as its owner, a person or a machine. Only the SHA-256 is stored."""

    user = models.ForeignKey(
        User, models.CASCADE, null=True, blank=True, related_name="management_tokens", verbose_name=_("user")
    )
    service_account = models.ForeignKey(
        ServiceAccount, models.CASCADE, null=True, blank=True, related_name="tokens", verbose_name=_("service account")
    )
    name = models.CharField(_("name"), max_length=100)
    token_id = models.CharField(_("token id"), max_length=8, blank=True, editable=False)
    """the public part; empty for tokens that were made before they had one"""
    digest = models.CharField(max_length=64, unique=True, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)
    """kept to the minute"""
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True, editable=False)

    objects = ManagementTokenQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        verbose_name = _("management token")
        verbose_name_plural = _("management tokens")
        indexes = (models.Index(fields=("name", "id"), name="management_token_by_name"),)
        constraints = [
            models.CheckConstraint(
                name="management_token_has_one_owner",
                condition=Q(user__isnull=False, service_account=None) | Q(user=None, service_account__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def owner(self) -> User | ServiceAccount:
        owner = self.user or self.service_account
        assert owner is not None, "the constraint says so"  # noqa: S101
        return owner


class UserSessionQuerySet(models.QuerySet["UserSession"]):
    def live(self) -> "UserSessionQuerySet":
        """Sessions that still let their person in."""
        return self.filter(ended_at=None, expires_at__gt=timezone.now())

    def end(self, reason: str, now: datetime) -> int:
        """End those that have not ended yet; answers how many. The next request of each is refused."""
        return self.filter(ended_at=None).update(ended_at=now, end_reason=reason, updated_at=now)


class UserSession(Noun):
    """One sign-in of a person until it ends, in a browser or at the management API."""

    class Kind(models.TextChoices):
        CONSOLE = "console", _("Console")
        API = "api", _("API")

    class End(models.TextChoices):
        SIGNED_OUT = "signed_out", _("Signed out")
        REVOKED = "revoked", _("Ended by hand")
        PASSWORD_CHANGED = "password_changed", _("Password changed")
        USER_DISABLED = "user_disabled", _("User disabled")
        TOKEN_REUSED = "token_reused", _("Refresh token used twice")

    user = models.ForeignKey(User, models.CASCADE, related_name="sessions", verbose_name=_("user"))
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    address = models.GenericIPAddressField(_("address"), null=True, blank=True)
    device = models.CharField(_("device"), max_length=200, blank=True)
    last_seen_at = models.DateTimeField(_("last seen"), default=timezone.now)
    """kept to the minute"""
    expires_at = models.DateTimeField(_("expires"))
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    end_reason = models.CharField(_("why it ended"), max_length=20, choices=End.choices, blank=True)

    objects = UserSessionQuerySet.as_manager()

    class Meta:
        ordering = ("-last_seen_at",)
        verbose_name = _("session")
        verbose_name_plural = _("sessions")

    def __str__(self) -> str:
        return f"{self.user}: {self.kind}"


class BrowserSession(AbstractBaseSession):
    """What Django keeps for a browser. The key is the hash of the cookie, the data are encrypted under the cookie."""

    session_key = models.CharField(max_length=64, primary_key=True)
    user_session = models.ForeignKey(UserSession, models.CASCADE, null=True, related_name="browser_sessions")


class RefreshToken(models.Model):
    """One link of a session's chain of refresh tokens. Only the SHA-256 is stored; each is good for one use."""

    digest = models.CharField(max_length=64, primary_key=True)
    session = models.ForeignKey(UserSession, models.CASCADE, related_name="refresh_tokens")
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(null=True)


class SignInAttempts(models.Model):
    """How often signing in was tried of late, for one account name or one source address (`subject`, as a hash).

    Names that nobody has are counted like those that somebody has, so that being locked says nothing about them.
    """

    subject = models.CharField(max_length=64, primary_key=True)
    attempts = models.PositiveIntegerField(default=0)
    last_at = models.DateTimeField()
    locked_until = models.DateTimeField(null=True)
    refused = models.PositiveIntegerField(default=0)
    """attempts that met the lock"""
