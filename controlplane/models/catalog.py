"""What can be deployed: models and their versions."""

from typing import Any

from django.core.validators import MaxValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from controlplane.lifecycle import VersionState
from inference.contract import budgets

from .access import Project
from .base import Noun, Paragraphs, dns_label, one_line


class Model(Noun):
    """A model by name, such as ``qwen3-32b``; its weights belong to its versions."""

    project = models.ForeignKey(
        Project, models.PROTECT, null=True, blank=True, related_name="models", verbose_name=_("project"),
        help_text=_("Empty: every project may use it."),
    )  # fmt: skip
    name = models.CharField(_("name"), max_length=52, unique=True, validators=[dns_label])
    description = Paragraphs(_("description"), blank=True, max_length=2000)

    class Meta:
        ordering = ("name",)
        verbose_name = _("model")
        verbose_name_plural = _("models")

    def __str__(self) -> str:
        return self.name


def _price(name: Any) -> Any:
    return models.PositiveBigIntegerField(
        name, default=0, validators=[MaxValueValidator(budgets.HIGHEST_PRICE)],
        help_text=_("Of a million tokens, in millionths of a unit; 0: they cost nothing."),
    )  # fmt: skip


class ModelVersion(Noun):
    """One set of weights. `source`: a directory, ``hf:org/name``, ``modelscope:org/name`` or ``external:``."""

    model = models.ForeignKey(Model, models.PROTECT, related_name="versions", verbose_name=_("model"))
    name = models.CharField(_("version"), max_length=52, validators=[dns_label])
    source = models.CharField(_("source"), max_length=500, validators=[one_line])
    max_model_len = models.PositiveIntegerField(_("context length"), null=True, blank=True, help_text=_("In tokens."))
    prompt_price_micros = _price(_("price of prompts"))
    completion_price_micros = _price(_("price of answers"))
    state = models.CharField(
        _("state"), max_length=20, choices=VersionState.choices, default=VersionState.AVAILABLE, editable=False
    )

    class Meta:
        ordering = ("model__name", "-created_at")
        constraints = (models.UniqueConstraint(fields=("model", "name"), name="version_name_once_a_model"),)
        indexes = (models.Index(fields=("name", "id"), name="version_by_name"),)
        verbose_name = _("version")
        verbose_name_plural = _("versions")

    def __str__(self) -> str:
        return f"{self.model.name}:{self.name}"
