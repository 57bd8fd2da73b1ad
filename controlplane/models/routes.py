"""Public model names and where their traffic goes."""

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import F, Func, Value
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from .access import Project
from .base import Noun, public_name
from .deployments import Deployment

ZERO_ONE_EYE, LOOK_LIKE = "01I", "oll"
"""letter for letter: what looks like another one in most typefaces"""


class Route(Noun):
    """The model name that clients write; its weighted targets are deployments."""

    project = models.ForeignKey(
        Project, models.PROTECT, null=True, blank=True, related_name="routes", verbose_name=_("project"),
        help_text=_("Empty: every project may call it."),
    )  # fmt: skip
    name = models.CharField(_("name"), max_length=128, unique=True, validators=[public_name])
    rules = models.JSONField(_("rules"), default=list, blank=True, editable=False)
    """as `controlplane.route_rules` reads and writes them"""
    affinity_header = models.CharField(_("affinity header"), max_length=64, blank=True)
    timeouts = models.JSONField(_("time-outs"), default=dict, blank=True, editable=False)
    """as `controlplane.route_timeouts` reads and writes them"""

    class Meta:
        ordering = ("name",)
        # A client that types one name must not reach the other: names differ in more than case, 0/O and 1/l/I.
        constraints = (
            models.UniqueConstraint(
                Lower("name"),
                name="route_name_once_whatever_its_case",
                violation_error_code="look_alike",
                violation_error_message=_("There is a route whose name differs in upper and lower case only."),
            ),
            models.UniqueConstraint(
                Lower(Func(F("name"), Value(ZERO_ONE_EYE), Value(LOOK_LIKE), function="translate")),
                name="route_name_once_as_it_looks",
                violation_error_code="look_alike",
                violation_error_message=_(
                    "There is a route whose name looks the same: 0 and O, 1, l and I count as one."
                ),
            ),
        )
        verbose_name = _("route")
        verbose_name_plural = _("routes")

    def __str__(self) -> str:
        return self.name


class RouteTarget(models.Model):
    """A share of a route's traffic for one deployment."""

    id = models.BigAutoField(primary_key=True)
    route = models.ForeignKey(Route, models.CASCADE, related_name="targets", verbose_name=_("route"))
    deployment = models.ForeignKey(Deployment, models.PROTECT, related_name="targets", verbose_name=_("deployment"))
    weight = models.PositiveSmallIntegerField(
        _("weight"), default=100, validators=[MaxValueValidator(1000)], help_text=_("0: no traffic.")
    )

    class Meta:
        ordering = ("id",)
        constraints = (models.UniqueConstraint(fields=("route", "deployment"), name="deployment_once_a_route"),)
        verbose_name = _("target")
        verbose_name_plural = _("targets")

    def __str__(self) -> str:
        return f"{self.route} → {self.deployment} ({self.weight})"
