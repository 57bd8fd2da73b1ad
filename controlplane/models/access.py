"""Who may do things: people, projects and the keys of the gateway."""

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Value
from django.db.models.functions import Concat, Upper
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .base import Line, Noun, dns_label


class User(AbstractUser):
    """A person who signs in to the console."""

    must_change_password = models.BooleanField(
        _("must change password"), default=False, help_text=_("The password was given out once and has to be replaced.")
    )

    class Meta(AbstractUser.Meta):  # type: ignore[name-defined]  # django-stubs does not show it
        verbose_name = _("user")
        verbose_name_plural = _("users")


class RegisterMode(models.TextChoices):
    """What the register keeps of a request beside who, when, what and how much."""

    METADATA = "metadata", _("Metadata only")
    DIGEST = "digest", _("Metadata and digests of the content")
    MASKED = "masked", _("Metadata, digests and the content with personal data masked")
    FULL = "full", _("Metadata, digests and the whole content")


class DataDomain(models.TextChoices):
    """What the contents of a project's requests are; told with whatever is kept of them."""

    PUBLIC = "public", _("Public")
    BUSINESS = "business", _("Business")
    SENSITIVE = "sensitive", _("Sensitive")


class Project(Noun):
    """A tenant. Every other object belongs to one project, or to the platform when its project is empty."""

    name = models.CharField(_("name"), max_length=52, unique=True, validators=[dns_label])
    title = Line(_("title"), max_length=200, blank=True)
    media_hosts = ArrayField(
        models.CharField(max_length=255), verbose_name=_("media hosts"), default=list, blank=True,
        help_text=_("Hosts from which its requests may let engines fetch images and sound; none: data URLs only."),
    )  # fmt: skip
    register_mode = models.CharField(
        _("in the register"), max_length=10, choices=RegisterMode.choices, default=RegisterMode.DIGEST
    )
    data_domain = models.CharField(
        _("data domain"), max_length=10, choices=DataDomain.choices, default=DataDomain.BUSINESS
    )

    class Meta:
        ordering = ("name",)
        verbose_name = _("project")
        verbose_name_plural = _("projects")

    def __str__(self) -> str:
        return self.title or self.name


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def usable(self) -> "ApiKeyQuerySet":
        """Keys that the gateway lets in now."""
        return self.filter(revoked_at=None).exclude(expires_at__lte=timezone.now())


class ApiKey(Noun):
    """A key for the gateway. Only its HMAC is stored; the whole key is shown once, when it is made."""

    project = models.ForeignKey(Project, models.PROTECT, related_name="api_keys", verbose_name=_("project"))
    name = Line(_("name"), max_length=100)
    key_id = models.CharField(_("key id"), max_length=8, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    routes = ArrayField(
        models.CharField(max_length=128), verbose_name=_("routes"), null=True, blank=True,
        help_text=_("Names of the routes it may call; empty means all that its project may call."),
    )  # fmt: skip
    endpoints = ArrayField(
        models.CharField(max_length=32), verbose_name=_("endpoints"), null=True, blank=True,
        help_text=_("What it may call, such as chat or embedding; empty means everything."),
    )  # fmt: skip
    cidrs = ArrayField(
        models.CharField(max_length=43), verbose_name=_("networks"), null=True, blank=True,
        help_text=_("Networks from which it may be used; empty means anywhere."),
    )  # fmt: skip
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True, editable=False)
    created_by = models.CharField(_("created by"), max_length=150, blank=True, editable=False)
    rotated_at = models.DateTimeField(_("rotated"), null=True, blank=True, editable=False)
    previous_digest = models.CharField(max_length=64, blank=True, editable=False)
    """of the secret before the last rotation; let in until `previous_expires_at`"""
    previous_expires_at = models.DateTimeField(_("old secret ends"), null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)
    """by either secret, to the minute; written by the workers alone, and no change of the key"""
    searched = models.GeneratedField(
        expression=Upper(Concat("name", Value("\n"), "key_id", Value("\n"), "created_by")),
        output_field=models.TextField(), db_persist=True, editable=False,
    )  # fmt: skip
    """what a search looks through: one column, because there may be very many keys"""
    previous_last_used_at = models.DateTimeField(_("old secret last used"), null=True, blank=True, editable=False)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        indexes = (
            models.Index(fields=("name", "id"), name="api_key_by_name"),
            models.Index(fields=("project", "-id"), name="api_key_of_project"),
            models.Index(fields=("updated_at",), name="api_key_by_change"),
        )
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")

    def __str__(self) -> str:
        return f"{self.name} (sbx_{self.key_id}_…)"

    @property
    def usable(self) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > timezone.now())

    @property
    def overlapping(self) -> bool:
        """The secret before the last rotation is still let in."""
        return self.usable and self.previous_expires_at is not None and self.previous_expires_at > timezone.now()
