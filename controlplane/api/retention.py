"""``/audit/holds`` and ``/audit/months``: what of the register must stay, and which months of it may go."""

from datetime import date
from typing import Any

import django_filters
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from audit import months
from audit.models import Hold
from audit.retention import Refusal
from audit.showing import Showing
from controlplane import archives
from controlplane.access.asking import standing_in
from controlplane.actions.lift_hold import lift_hold
from controlplane.actions.place_hold import place_hold
from controlplane.actions.retire_month import retire_month
from controlplane.api import rehearsal
from controlplane.api.fields import Body, Choice, Text
from controlplane.api.nouns import NounViewSet, reading
from controlplane.api.preconditions import reason_of
from controlplane.roles import Permission, decide

ID = OpenApiParameter("id", {"type": "string", "pattern": f"^{archives.MONTH}$"}, OpenApiParameter.PATH)


class HoldShown(Showing):
    id = serializers.IntegerField()
    of = serializers.ChoiceField(Hold.Of.choices)
    name = serializers.CharField(help_text="A project's name, or an actor's id as the register has it.")
    reason = serializers.CharField()
    placed_by = serializers.CharField()
    placed_at = serializers.DateTimeField()


class HoldPlace(Body):
    of = Choice(Hold.Of.choices)
    name = Text(max_length=150)


class HoldFilters(django_filters.FilterSet):
    of = django_filters.ChoiceFilter(choices=Hold.Of.choices)
    name = django_filters.CharFilter()


@extend_schema(tags=["audit"])
class Holds(NounViewSet):
    """Legal holds: no month of the register goes that has anything of their project or actor."""

    noun = Hold
    permissions = reading(Permission.AUDIT_HOLD_READ) | {
        "create": Permission.AUDIT_HOLD_PLACE,
        "destroy": Permission.AUDIT_HOLD_LIFT,
    }
    serializer_class = HoldShown
    filterset_class = HoldFilters
    ordering_fields = {"placed_at": "id"}
    default_ordering = "-placed_at"
    lookup_value_converter = "user_id"

    @extend_schema(request=HoldPlace, responses={201: HoldShown})
    def create(self, request: Request) -> Response:
        """Place a hold. Needs a reason."""
        fields = self.body(HoldPlace)
        reason = reason_of(request, fields, required=True)
        hold = place_hold(actor=self.actor(), reason=reason, **fields)
        return self.show(hold.pk, status.HTTP_201_CREATED)

    @extend_schema(request=None, responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Lift a hold. Needs a reason."""
        reason = reason_of(request, self.body(Body), required=True)
        with self.locked(pk) as hold:
            lift_hold(hold, actor=self.actor(), reason=reason)
        return Response(status=status.HTTP_204_NO_CONTENT)


class MonthShown(Showing):
    month = serializers.CharField(source="__str__", help_text="As 2026-01.")
    state = serializers.ChoiceField([(it.value, it.value) for it in archives.Way])
    kept_because = serializers.ListField(
        child=serializers.ChoiceField([(it.value, it.value) for it in Refusal]), source="refusals",
        help_text="Every reason against dropping it; empty when it may go or is gone.",
    )  # fmt: skip
    holds = serializers.ListField(child=serializers.CharField())
    export = serializers.CharField(
        source="archive", help_text="The name of its files in the archive; empty when there are none."
    )
    rows = serializers.IntegerField(source="retirement.rows", allow_null=True, help_text="Of a dropped month.")
    sha256 = serializers.CharField(help_text="Of the export's compressed file.")
    event = serializers.UUIDField(
        source="retirement.event", allow_null=True, help_text="The entry that tells of the drop."
    )
    dropped_at = serializers.DateTimeField(source="retirement.retired_at", allow_null=True)


@extend_schema(tags=["audit"])
class Months(NounViewSet):
    """The register by months, and why each of them stays."""

    noun = Hold  # whoever sees holds sees what they keep; months are no rows
    permissions = reading(Permission.AUDIT_RETIRE) | {"destroy": Permission.AUDIT_RETIRE}
    serializer_class = MonthShown
    filter_backends = ()
    pagination_class = None
    listing = frozenset()
    rehearsing = frozenset({"destroy"})
    lookup_value_converter = "month"

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """All that have begun, ascending, dropped ones included."""
        del request, args, kwargs
        return Response(MonthShown(archives.every(timezone.now()), many=True).data if self._reaches() else [])

    @extend_schema(parameters=[ID])
    def retrieve(self, request: Request, pk: str) -> Response:  # type: ignore[override]  # a month, not a UUID
        """One that is in the register."""
        del request
        return Response(MonthShown(archives.judged(self._asked(pk), timezone.now())).data)

    @extend_schema(request=None, responses={202: MonthShown, 200: MonthShown}, parameters=[ID, rehearsal.DRY_RUN])
    def destroy(self, request: Request, pk: str) -> Response:
        """Order that a month is exported into the archive and dropped. Needs a reason.

        A dry run tells what is against it.
        """
        month = self._asked(pk)
        if self.is_rehearsal():
            found = archives.judged(month, timezone.now(), thoroughly=True)
            return Response(MonthShown(found).data)
        reason = reason_of(request, self.body(Body), required=True)
        retire_month(month, actor=self.actor(), reason=reason)
        return Response(MonthShown(archives.judged(month, timezone.now())).data, status=status.HTTP_202_ACCEPTED)

    def _reaches(self) -> bool:
        return decide(standing_in(self.request), Permission.AUDIT_RETIRE, None).allowed

    def _asked(self, text: str) -> date:
        """Raises NotFound, the same for what is not there and what may not be seen."""
        month = archives.first_of(text)
        if month is None or not self._reaches() or month not in months.existing():
            raise NotFound
        return month
