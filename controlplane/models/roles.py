"""Who holds which role where."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from controlplane.roles import Role

from .access import Project, User
from .base import Noun
from .identity import ServiceAccount


class RoleBinding(Noun):
    """A role for a person or a machine, on one project or on the platform."""

    user = models.ForeignKey(
        User, models.CASCADE, null=True, blank=True, related_name="role_bindings", verbose_name=_("user")
    )
    service_account = models.ForeignKey(
        ServiceAccount, models.CASCADE, null=True, blank=True, related_name="role_bindings",
        verbose_name=_("service account"),
    )  # fmt: skip
    role = models.CharField(_("role"), max_length=20, choices=Role.choices)
    project = models.ForeignKey(
        Project, models.PROTECT, null=True, blank=True, related_name="role_bindings", verbose_name=_("project"),
        help_text=_("Empty: on the whole platform."),
    )  # fmt: skip
    created_by = models.CharField(_("created by"), max_length=150, blank=True, editable=False)

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("user", "service_account", "role", "project"), nulls_distinct=False, name="role_bound_once",
                violation_error_message=_("This role is held there already."),
            ),
            models.CheckConstraint(
                condition=Q(user__isnull=False, service_account=None) | Q(user=None, service_account__isnull=False),
                name="role_binding_has_one_holder",
            ),
        )  # fmt: skip
        verbose_name = _("role binding")
        verbose_name_plural = _("role bindings")

    def __str__(self) -> str:
        return f"{self.holder}: {self.role}"

    @property
    def holder(self) -> User | ServiceAccount:
        holder = self.user or self.service_account
        assert holder is not None, "the constraint says so"  # noqa: S101
        return holder
