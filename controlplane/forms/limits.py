"""Forms of limits: who is limited, and by how much."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from audit.record import Actor
from controlplane.access.lookups import access
from controlplane.actions.remove_limit import remove_limit
from controlplane.actions.set_limit import set_limit
from controlplane.models import ApiKey, Limit, Project, Route
from controlplane.models.limits import DIMENSIONS, HIGHEST
from controlplane.roles import Permission, reach
from inference.contract import budgets

from .base import ActionForm
from .costs import CostField


class NumbersForm(ActionForm):
    """How much it may be. An empty number limits nothing."""

    testid = "limit-form"

    requests_per_minute = forms.IntegerField(
        label=_("Requests per minute"), required=False, min_value=0, max_value=HIGHEST,
        help_text=_("Empty: unlimited. 0: nothing is let through."),
    )  # fmt: skip
    tokens_per_minute = forms.IntegerField(
        label=_("Tokens per minute"), required=False, min_value=0, max_value=HIGHEST,
        help_text=_("Prompt and answer together. What a request may use at most is reserved until its end."),
    )  # fmt: skip
    concurrency = forms.IntegerField(
        label=_("Requests at once"), required=False, min_value=0, max_value=HIGHEST,
        help_text=_("A stream counts until its last byte."),
    )  # fmt: skip
    tokens_per_day = forms.IntegerField(
        label=_("Tokens per day"), required=False, min_value=0, max_value=budgets.HIGHEST,
        help_text=_("A budget: once it is used up, nothing is let through until midnight."),
    )  # fmt: skip
    tokens_per_month = forms.IntegerField(
        label=_("Tokens per month"), required=False, min_value=0, max_value=budgets.HIGHEST
    )
    cost_micros_per_day = CostField(
        label=_("Cost per day"), required=False,
        help_text=_("In the unit that the prices of the model versions are meant in, such as 12.50."),
    )  # fmt: skip
    cost_micros_per_month = CostField(label=_("Cost per month"), required=False)

    @property
    def numbers(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in DIMENSIONS}


class LimitForm(NumbersForm):
    """A new limit. A subject that has one gets these numbers in its place."""

    api_key = forms.ModelChoiceField(ApiKey.objects.none(), label=_("API key"), required=False, empty_label="—")
    project = forms.ModelChoiceField(
        Project.objects.none(), label=_("Project"), required=False, empty_label="—",
        help_text=_("All keys of the project together. Choose a key or a project, not both."),
    )  # fmt: skip
    route = forms.ModelChoiceField(
        Route.objects.none(), label=_("Route"), required=False, empty_label="—",
        help_text=_("Alone: all who call it together. With a key or a project: that one on this route."),
    )  # fmt: skip
    field_order = ("api_key", "project", "route", *DIMENSIONS)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        mine = access(ApiKey, self.standing, Permission.LIMIT_CHANGE)
        self.offer("api_key", mine.filter(revoked_at=None).select_related("project"))
        self.offer("route", self.seen(Route))
        whole = reach(self.standing, Permission.LIMIT_CHANGE).everything  # a project does not set its own
        self.offer("project", self.seen(Project) if whole else Project.objects.none())

    def perform(self, actor: Actor) -> Limit:
        subject = {name: self.cleaned_data[name] for name in ("api_key", "project", "route")}
        return set_limit(**subject, **self.numbers, actor=actor, reason=self.why)


class ChangeLimitForm(NumbersForm):
    """Other numbers for the same subject."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in DIMENSIONS:
            self.fields[name].initial = getattr(self.subject, name)

    def perform(self, actor: Actor) -> Limit:
        limit = self.subject
        return set_limit(
            api_key=limit.api_key, project=limit.project, route=limit.route,
            **self.numbers, actor=actor, reason=self.why,
        )  # fmt: skip


class KeyLimitForm(NumbersForm):
    """The limits of a key on all routes together."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if limit := self.subject.limits.filter(route=None).first():
            for name in DIMENSIONS:
                self.fields[name].initial = getattr(limit, name)

    def perform(self, actor: Actor) -> ApiKey:
        set_limit(api_key=self.subject, **self.numbers, actor=actor, reason=self.why)
        return self.subject  # type: ignore[no-any-return]


class RemoveLimitForm(ActionForm):
    testid = "remove-form"
    reason_required = True

    def perform(self, actor: Actor) -> Limit:
        remove_limit(self.subject, actor=actor, reason=self.why)
        return self.subject  # type: ignore[no-any-return]
