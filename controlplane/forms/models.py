"""Forms of models and their versions."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from audit.record import Actor
from controlplane.actions.create_model import create_model
from controlplane.actions.create_version import create_version
from controlplane.actions.retire_version import retire_version
from controlplane.actions.set_price import PRICES, set_price
from controlplane.models import Model, ModelVersion, Project
from controlplane.roles import Permission
from inference.contract.budgets import HIGHEST_PRICE

from .base import ActionForm
from .costs import CostField


class ModelForm(ActionForm):
    testid = "model-form"

    name = forms.CharField(
        label=_("Name"), max_length=52, help_text=_("Such as qwen3-32b: lower-case letters, digits and hyphens.")
    )
    project = forms.ModelChoiceField(
        Project.objects.none(), label=_("Project"), required=False, empty_label=_("Every project")
    )
    description = forms.CharField(
        label=_("Description"), max_length=2000, required=False, widget=forms.Textarea(attrs={"rows": 3})
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offer_projects(Permission.MODEL_CREATE)

    def perform(self, actor: Actor) -> Model:
        values = self.cleaned_data
        return create_model(
            name=values["name"], project=values["project"], description=values["description"], actor=actor,
            reason=self.why,
        )  # fmt: skip


class VersionForm(ActionForm):
    testid = "version-form"

    model = forms.ModelChoiceField(Model.objects.none(), label=_("Model"), empty_label=None)
    name = forms.CharField(
        label=_("Version"), max_length=52, help_text=_("Such as 1 or 2026-11: lower-case letters, digits and hyphens.")
    )
    source = forms.CharField(
        label=_("Source"),
        max_length=500,
        help_text=_(
            "Where the weights are: /a/directory on the engine's machine, hf:organisation/name, "
            "modelscope:organisation/name, or external: for an engine that Signalbox does not start."
        ),
    )
    max_model_len = forms.IntegerField(
        label=_("Context length"), required=False, min_value=1, max_value=2**31 - 1,
        help_text=_("In tokens. Empty: what the model itself says."),
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offer("model", self.seen(Model))

    def perform(self, actor: Actor) -> ModelVersion:
        values = self.cleaned_data
        return create_version(
            values["model"], name=values["name"], source=values["source"], max_model_len=values["max_model_len"],
            actor=actor, reason=self.why,
        )  # fmt: skip


class PriceForm(ActionForm):
    testid = "price-form"

    prompt_price_micros = CostField(
        label=_("A million tokens of prompts"), highest=HIGHEST_PRICE,
        help_text=_("In any unit, as long as all prices and budgets are meant in the same; 0: they cost nothing."),
    )  # fmt: skip
    completion_price_micros = CostField(label=_("A million tokens of answers"), highest=HIGHEST_PRICE)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in PRICES:
            self.fields[name].initial = getattr(self.subject, name)

    def perform(self, actor: Actor) -> ModelVersion:
        prices = {name: self.cleaned_data[name] for name in PRICES}
        return set_price(self.subject, **prices, actor=actor, reason=self.why)


class RetireVersionForm(ActionForm):
    testid = "retire-form"
    reason_required = True

    def perform(self, actor: Actor) -> ModelVersion:
        return retire_version(self.subject, actor=actor, reason=self.why)
