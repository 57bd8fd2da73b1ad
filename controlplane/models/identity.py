"""How people and machines prove who they are: service accounts and the bearer tokens of the management API."""

from typing import ClassVar

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
    digest = models.CharField(max_length=64, unique=True, editable=False)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True, editable=False)

    objects = ManagementTokenQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        verbose_name = _("management token")
        verbose_name_plural = _("management tokens")
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
