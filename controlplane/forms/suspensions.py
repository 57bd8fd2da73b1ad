"""Letting somebody in again."""

from audit.record import Actor
from controlplane.actions.lift_suspension import lift_suspension
from controlplane.models import Suspension

from .base import ActionForm


class LiftForm(ActionForm):
    testid = "lift-form"
    reason_required = True

    def perform(self, actor: Actor) -> Suspension:
        return lift_suspension(self.subject, actor=actor, reason=self.why)
