"""``/audit/events/{id}/bodies``: what is kept of a request's contents."""

from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from audit import guard
from audit.models import Event
from audit.showing import Showing
from controlplane import actors
from controlplane.actions.read_bodies import Condition, read_bodies
from controlplane.api.fields import Body
from controlplane.api.preconditions import reason_of, ticket_of
from controlplane.models.access import DataDomain
from controlplane.roles import Permission
from inference.contract import bodies


class BodyShown(Showing):
    side = serializers.ChoiceField([bodies.INPUT, bodies.OUTPUT])
    condition = serializers.ChoiceField(
        [(it.value, it.value) for it in Condition],
        help_text="erased: its key was shredded; unreadable: it was altered, or its key is not here.",
    )
    text = serializers.CharField(help_text="Empty unless readable.")
    mode = serializers.ChoiceField([bodies.MASKED, bodies.FULL])
    data_domain = serializers.ChoiceField(DataDomain.choices)
    size = serializers.IntegerField(help_text="Bytes there were, before anything was cut off.")
    truncated = serializers.BooleanField(help_text="The end was cut off.")
    matches_digest = serializers.BooleanField(
        allow_null=True, help_text="Whether it is what the event's digest says; null where that cannot be told."
    )


class BodiesShown(Showing):
    bodies = BodyShown(many=True)


@extend_schema(tags=["audit"])
class Bodies(GenericViewSet[Event]):
    """What is kept of requests' contents. No `NounViewSet`: an answer of this is remembered nowhere."""

    permissions = {"read": Permission.AUDIT_BODY_READ}
    serializer_class = BodiesShown

    def get_queryset(self) -> QuerySet[Event]:
        return Event.objects.none() if getattr(self, "swagger_fake_view", False) else guard.readable(self.request)

    @extend_schema(request=Body, responses={201: BodiesShown})
    def read(self, request: Request, pk: UUID) -> Response:
        """Read what is kept of a request's contents. Needs a reason, and makes an entry of the register."""
        event = self.get_queryset().filter(pk=pk).first()
        if event is None:
            raise NotFound
        given = Body(data=request.data)
        given.is_valid(raise_exception=True)
        method = getattr(request.successful_authenticator, "auth_method", "")
        actor = actors.from_request(request, source="api", auth_method=method, ticket=ticket_of(request))
        found = read_bodies(event, actor=actor, reason=reason_of(request, dict(given.validated_data)))
        return Response(
            BodiesShown({"bodies": found}).data, status.HTTP_201_CREATED, headers={"Cache-Control": "no-store"}
        )
