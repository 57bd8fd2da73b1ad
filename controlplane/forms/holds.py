"""Placing a legal hold, and lifting it."""

from django import forms
from django.utils.translation import gettext_lazy as _

from audit.models import Hold
from audit.record import Actor
from controlplane.actions.lift_hold import lift_hold
from controlplane.actions.place_hold import place_hold
from controlplane.models.base import one_line

from .base import ActionForm


class PlaceHoldForm(ActionForm):
    testid = "hold-form"
    reason_required = True

    of = forms.ChoiceField(label=_("Of"), choices=Hold.Of.choices)
    name = forms.CharField(
        label=_("Name or id"), max_length=150, validators=[one_line],
        help_text=_("A project's name; an actor's id as it stands in the register."),
    )  # fmt: skip

    def perform(self, actor: Actor) -> Hold:
        given = self.cleaned_data
        return place_hold(of=given["of"], name=given["name"], actor=actor, reason=self.why)


class LiftHoldForm(ActionForm):
    testid = "hold-lift-form"
    reason_required = True

    def perform(self, actor: Actor) -> str:
        name = str(self.subject)
        lift_hold(self.subject, actor=actor, reason=self.why)
        return name
