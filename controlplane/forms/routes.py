"""The form of a route: its name, and up to some weighted deployments."""

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from audit.record import Actor
from controlplane.access.lookups import routable
from controlplane.actions.delete_route import delete_route
from controlplane.actions.set_route import change_route, create_route
from controlplane.models import Deployment, Project, Route
from controlplane.roles import Permission

from .base import ActionForm, dress

HIGHEST_WEIGHT = 1000
MOST_TARGETS = 32


class TargetForm(forms.Form):
    """One line of the table of targets. A line without a weight is no target."""

    deployment = forms.ModelChoiceField(
        Deployment.objects.none(), label=_("Deployment"), required=False, empty_label="—"
    )
    weight = forms.IntegerField(label=_("Weight"), required=False, min_value=0, max_value=HIGHEST_WEIGHT)

    def __init__(self, *args: Any, deployments: QuerySet[Deployment], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["deployment"].queryset = deployments  # type: ignore[attr-defined]
        dress(self)

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        if values.get("deployment") and values.get("weight") is None and "weight" not in self.errors:
            self.add_error("weight", _("Give a weight; 0 sends no traffic."))
        return values


class Targets(forms.BaseFormSet):
    def clean(self) -> None:
        names = [form.cleaned_data["deployment"] for form in self.chosen()]
        if len(names) != len(set(names)):
            raise forms.ValidationError(_("A deployment can be a target once only."))

    def chosen(self) -> list[Any]:
        return [form for form in self.forms if getattr(form, "cleaned_data", {}).get("deployment")]


def targets_of(lines: Any) -> dict[Deployment, int]:
    """Deployment -> weight of the lines that name one."""
    return {form.cleaned_data["deployment"]: form.cleaned_data["weight"] for form in lines.chosen()}


TargetFormSet = forms.formset_factory(
    TargetForm, formset=Targets, extra=1, max_num=MOST_TARGETS, absolute_max=MOST_TARGETS, validate_max=True
)


class TargetsForm(ActionForm):
    """A form with the table of targets below its fields. `self.targets` is the formset."""

    def __init__(self, data: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(data, *args, **kwargs)
        lines = [] if self.subject is None else [
            {"deployment": target.deployment_id, "weight": target.weight} for target in self.subject.targets.all()
        ]  # fmt: skip
        choosable = {"deployments": routable(self.standing).filter(deleted_at=None)}
        self.targets = TargetFormSet(data, prefix="targets", initial=lines, form_kwargs=choosable)

    def is_valid(self) -> bool:
        fields, targets = super().is_valid(), self.targets.is_valid()
        return fields and targets

    def mapping(self) -> dict[Deployment, int]:
        return targets_of(self.targets)


class RouteForm(TargetsForm):
    testid = "route-form"

    name = forms.CharField(label=_("Name"), max_length=128, help_text=_("What clients write as “model”."))
    project = forms.ModelChoiceField(
        Project.objects.none(), label=_("Project"), required=False, empty_label=_("Every project")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offer_projects(Permission.ROUTE_CREATE)

    def perform(self, actor: Actor) -> Route:
        values = self.cleaned_data
        return create_route(
            name=values["name"], project=values["project"], targets=self.mapping(), actor=actor, reason=self.why
        )


class ChangeRouteForm(TargetsForm):
    testid = "route-form"

    def perform(self, actor: Actor) -> Route:
        return change_route(self.subject, targets=self.mapping(), actor=actor, reason=self.why)


class DeleteRouteForm(ActionForm):
    testid = "delete-form"
    reason_required = True

    def perform(self, actor: Actor) -> Route:
        delete_route(self.subject, actor=actor, reason=self.why)
        return self.subject  # type: ignore[no-any-return]
