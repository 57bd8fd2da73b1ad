"""The forms of a route's rules, with its affinity header, and of its time-outs."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from audit.record import Actor
from controlplane import route_rules, route_timeouts
from controlplane.actions.set_route import change_route
from controlplane.models import Route
from inference.contract import endpoints
from inference.contract.tables import RuleEntry, TimeoutsEntry

from .base import ActionForm, dress


def _length(label: Any) -> forms.IntegerField:
    return forms.IntegerField(label=label, required=False, min_value=1, max_value=route_rules.LONGEST_PROMPT)


class RuleForm(forms.Form):
    """One rule. A line that nothing was entered in is none."""

    deployments = forms.MultipleChoiceField(
        label=_("Deployments"), required=False, widget=forms.CheckboxSelectMultiple,
        help_text=_("Its requests go to these only, by their weights."),
    )  # fmt: skip
    endpoints = forms.MultipleChoiceField(
        label=_("Endpoints"), required=False, widget=forms.CheckboxSelectMultiple,
        choices=[(name, name) for name in endpoints.NAMES], help_text=_("None ticked: all of them."),
    )  # fmt: skip
    prompt_tokens_from = _length(_("Prompt from (tokens)"))
    prompt_tokens_to = _length(_("to less than (tokens)"))
    header = forms.CharField(label=_("Request header"), required=False, max_length=route_rules.LONGEST_HEADER)
    header_values = forms.CharField(
        label=_("with one of the values"), required=False, widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("One a line. None: the header only has to be there."),
    )  # fmt: skip
    fallback = forms.BooleanField(
        label=_("Other targets may take over while none of these is healthy"), required=False,
        help_text=_("Otherwise its requests get 503 then."),
    )  # fmt: skip

    def __init__(self, *args: Any, deployments: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["deployments"].choices = [(name, name) for name in deployments]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        if self.has_changed() and not self.errors and not values["deployments"] and not self.removed:
            self.add_error("deployments", _("Choose where its requests go."))
        return values

    @property
    def removed(self) -> bool:
        return bool(self.cleaned_data.get("DELETE"))

    def entry(self) -> RuleEntry:
        """The rule as it was entered."""
        values = self.cleaned_data
        return RuleEntry(
            deployments=tuple(values["deployments"]),
            endpoints=tuple(values["endpoints"]),
            prompt_tokens_from=values["prompt_tokens_from"],
            prompt_tokens_to=values["prompt_tokens_to"],
            header=values["header"],
            header_values=tuple(line for line in values["header_values"].splitlines() if line.strip()),
            fallback=values["fallback"],
        )


class Rules(forms.BaseFormSet):
    """The rules in their order."""

    def add_fields(self, form: Any, index: int | None) -> None:
        super().add_fields(form, index)
        form.fields["ORDER"].label = _("Place")
        form.fields["DELETE"].label = _("Take this rule away")
        dress(form)

    def entries(self) -> list[RuleEntry]:
        given = [form for form in self.forms if form.has_changed() or form.initial]
        kept = [form for form in given if not form.removed]
        return [form.entry() for form in sorted(kept, key=_place)]


def _place(form: Any) -> float:
    place = form.cleaned_data.get("ORDER")
    return float("inf") if place is None else place


RuleFormSet = forms.formset_factory(
    RuleForm, formset=Rules, extra=0, can_order=True, can_delete=True,
    max_num=route_rules.MOST_RULES, absolute_max=route_rules.MOST_RULES, validate_max=True,
)  # fmt: skip


class RulesForm(ActionForm):
    """A route's rules and its affinity header. `self.rules` is the formset."""

    testid = "rules-form"

    affinity_header = forms.CharField(
        label=_("Affinity header"), required=False, max_length=route_rules.LONGEST_HEADER,
        help_text=_("Requests with the same value of this header go to the same replica while it is there."),
    )  # fmt: skip

    def __init__(self, data: Any = None, *args: Any, subject: Route, **kwargs: Any) -> None:
        super().__init__(data, *args, subject=subject, **kwargs)
        self.initial.setdefault("affinity_header", subject.affinity_header)
        names = [target.deployment.name for target in subject.targets.select_related("deployment")]
        self.rules: Any = RuleFormSet(
            data, prefix="rules", initial=[_shown(rule) for rule in route_rules.read(subject.rules)],
            form_kwargs={"deployments": names},
        )  # fmt: skip

    def is_valid(self) -> bool:
        fields, rules = super().is_valid(), self.rules.is_valid()
        return fields and rules

    def perform(self, actor: Actor) -> Route:
        header = self.cleaned_data["affinity_header"]
        return change_route(
            self.subject, rules=self.rules.entries(), affinity_header=header, actor=actor, reason=self.why
        )


def _shown(rule: RuleEntry) -> dict[str, Any]:
    return {
        "deployments": list(rule.deployments),
        "endpoints": list(rule.endpoints),
        "prompt_tokens_from": rule.prompt_tokens_from,
        "prompt_tokens_to": rule.prompt_tokens_to,
        "header": rule.header,
        "header_values": "\n".join(rule.header_values),
        "fallback": rule.fallback,
    }


def _seconds(label: Any, help_text: Any) -> forms.FloatField:
    return forms.FloatField(
        label=label, required=False, min_value=route_timeouts.SHORTEST, max_value=route_timeouts.LONGEST,
        help_text=help_text,
    )  # fmt: skip


class TimeoutsForm(ActionForm):
    testid = "timeouts-form"

    connect = _seconds(_("Connect"), _("Seconds to open a connection to the engine, its TLS handshake included."))
    first_byte = _seconds(_("First byte"), _("Seconds from the request to the answer's first byte."))
    chunk = _seconds(_("Between chunks"), _("Seconds between two pieces of the answer."))
    total = _seconds(_("Total"), _("Seconds for the whole request, attempts at other replicas included."))

    def __init__(self, *args: Any, subject: Route, **kwargs: Any) -> None:
        super().__init__(*args, subject=subject, **kwargs)
        for name, seconds in subject.timeouts.items():
            self.initial.setdefault(name, seconds)

    def perform(self, actor: Actor) -> Route:
        timeouts = TimeoutsEntry(**{name: self.cleaned_data[name] for name in route_timeouts.NAMES})
        return change_route(self.subject, timeouts=timeouts, actor=actor, reason=self.why)
