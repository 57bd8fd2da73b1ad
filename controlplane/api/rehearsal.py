"""``?dry_run=true``: what a change would lead to. It is checked like the change itself and leaves nothing behind."""

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from audit.showing import Showing
from controlplane.models import Deployment
from controlplane.preview import preview

PARAMETER = "dry_run"
DRY_RUN = OpenApiParameter(
    PARAMETER, OpenApiTypes.BOOL, default=False, description="Show what it would lead to and change nothing."
)


class StepShown(Showing):
    """One order. Those of one turn go out together; the next turn waits for what became of them."""

    turn = serializers.IntegerField()
    order = serializers.ChoiceField(["start", "leave", "stop", "forget", "wait"])
    replica = serializers.CharField()
    reason = serializers.CharField()


class Rehearsed(Showing):
    """What would be done, if all goes well, and what each engine would be told to be."""

    dry_run = serializers.BooleanField()
    deployment = serializers.CharField()
    changes = serializers.DictField(child=serializers.ListField(), help_text="field: [before, after]")
    plan = StepShown(many=True)
    manifests = serializers.ListField(child=serializers.DictField())


def is_asked(request: Request) -> bool:
    """True for ``?dry_run=true``. Raises ValidationError for anything but true or false."""
    text = request.query_params.get(PARAMETER, "false")
    if text not in {"true", "false"}:
        raise ValidationError({PARAMETER: [_("Expected true or false.")]})
    return text == "true"


def show(draft: Deployment, changes: dict[str, Any]) -> Response:
    """The answer of a dry run; `changes` maps fields to ``[before, after]``."""
    seen = preview(draft)
    shown = Rehearsed({
        "dry_run": True, "deployment": draft.name, "changes": changes, "plan": seen.plan, "manifests": seen.manifests,
    })  # fmt: skip
    return Response(shown.data)
