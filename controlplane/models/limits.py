"""How much may be asked for: by whom, of what, in a minute, at once, in a day or in a month."""

from typing import Any

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from inference.contract import budgets

from .access import ApiKey, Project
from .base import Noun
from .routes import Route

HIGHEST = 1_000_000_000
RATES = ("requests_per_minute", "tokens_per_minute", "concurrency")
DIMENSIONS = (*RATES, *budgets.DIMENSIONS)


def _amount(name: Any, help_text: Any = "") -> Any:
    return models.PositiveBigIntegerField(
        name, null=True, blank=True, validators=[MaxValueValidator(budgets.HIGHEST)], help_text=help_text
    )


class Limit(Noun):
    """Limits of one subject: a key, a project or a route, or a key or a project on one route.

    A number that is empty limits nothing; 0 lets nothing through.
    """

    project = models.ForeignKey(
        Project, models.CASCADE, null=True, blank=True, related_name="limits", verbose_name=_("project")
    )
    api_key = models.ForeignKey(
        ApiKey, models.CASCADE, null=True, blank=True, related_name="limits", verbose_name=_("API key")
    )
    route = models.ForeignKey(
        Route, models.CASCADE, null=True, blank=True, related_name="limits", verbose_name=_("route")
    )
    requests_per_minute = models.PositiveIntegerField(
        _("requests per minute"), null=True, blank=True, validators=[MaxValueValidator(HIGHEST)]
    )
    tokens_per_minute = models.PositiveIntegerField(
        _("tokens per minute"), null=True, blank=True, validators=[MaxValueValidator(HIGHEST)]
    )
    concurrency = models.PositiveIntegerField(
        _("requests at once"), null=True, blank=True, validators=[MaxValueValidator(HIGHEST)]
    )
    tokens_per_day = _amount(_("tokens per day"))
    tokens_per_month = _amount(_("tokens per month"))
    cost_micros_per_day = _amount(_("cost per day"), _("In millionths of a unit."))
    cost_micros_per_month = _amount(_("cost per month"), _("In millionths of a unit."))

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("project", "api_key", "route"), nulls_distinct=False, name="limit_once_a_subject"
            ),
            models.CheckConstraint(condition=Q(project=None) | Q(api_key=None), name="limit_of_a_key_or_a_project"),
            models.CheckConstraint(condition=~Q(project=None, api_key=None, route=None), name="limit_has_a_subject"),
            models.CheckConstraint(condition=~Q(**dict.fromkeys(DIMENSIONS)), name="limit_limits_something"),
        )
        verbose_name = _("limit")
        verbose_name_plural = _("limits")

    def __str__(self) -> str:
        return " × ".join(str(part) for part in (self.api_key, self.project, self.route) if part is not None)
