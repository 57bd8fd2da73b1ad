"""``/channels`` and ``/deliveries``."""

from uuid import UUID

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from controlplane.actions.delete_channel import delete_channel
from controlplane.actions.set_channel import change_channel, create_channel
from controlplane.actions.try_channel import try_channel
from controlplane.alerting.addresses import LONGEST, ChannelKind
from controlplane.alerting.metrics import Severity
from controlplane.api.fields import Body, Choice, Flag, Reference, Text, Whole
from controlplane.api.nouns import BY_NAME, CREATED_AT, NounViewSet, Shown, name_of, reading
from controlplane.api.preconditions import reason_of
from controlplane.models import Channel, Delivery, Project
from controlplane.models.alerts import LANGUAGES, DeliveryState
from controlplane.roles import Permission


class ChannelShown(Shown):
    name = serializers.CharField()
    project = name_of("project.name")
    kind = serializers.ChoiceField(ChannelKind.choices)
    url = serializers.CharField(source="shown_url", help_text="With what is secret masked.")
    signed = serializers.SerializerMethodField(help_text="It has a secret that messages are signed with.")
    language = serializers.ChoiceField(LANGUAGES)
    min_severity = serializers.ChoiceField(Severity.choices)
    hourly_cap = serializers.IntegerField()
    send_recovery = serializers.BooleanField()
    enabled = serializers.BooleanField()
    broken = serializers.SerializerMethodField(help_text="Why it is asked no more; null while it is.")

    def get_signed(self, channel: Channel) -> bool:
        return bool(channel.sealed_secret)

    def get_broken(self, channel: Channel) -> str | None:
        found = getattr(channel, "broken", None)
        return found.message if found else None


class ChannelChange(Body):
    name = Text(max_length=100)
    url = Text(max_length=LONGEST, help_text="The robot's whole URL, as the vendor showed it.")
    secret = Text(
        max_length=200, allow_blank=True, default="", help_text="DingTalk: what begins with SEC. Webhook: of the HMAC."
    )
    language = Choice(LANGUAGES, default="zh-hans")
    min_severity = Choice(Severity.choices, default=Severity.INFO)
    hourly_cap = Whole(min_value=1, max_value=1080, default=120, help_text="Messages an hour; the rest is gathered.")
    send_recovery = Flag(default=True)
    enabled = Flag(default=True)


class ChannelCreate(ChannelChange):
    project = Reference(Project, allow_null=True, default=None, help_text="Null: the whole platform's alerts.")
    kind = Choice(ChannelKind.choices)


class DeliveryShown(Shown):
    channel = name_of("channel.name")
    channel_id = serializers.UUIDField()
    test = serializers.BooleanField()
    title = serializers.CharField()
    notices = serializers.IntegerField(help_text="How many alerts it tells of.")
    state = serializers.ChoiceField(DeliveryState.choices)
    reason = serializers.CharField()
    attempts = serializers.IntegerField()
    maybe_twice = serializers.BooleanField(help_text="A worker died while sending: it may have arrived before.")
    due_at = serializers.DateTimeField()
    sent_at = serializers.DateTimeField(allow_null=True)
    status_code = serializers.IntegerField(allow_null=True)
    answer = serializers.CharField(help_text="What the vendor answered.")


class ChannelFilters(django_filters.FilterSet):
    name = django_filters.CharFilter()
    project = django_filters.CharFilter("project__name")
    kind = django_filters.ChoiceFilter(choices=ChannelKind.choices)


@extend_schema(tags=["channels"])
class Channels(NounViewSet):
    """Where alerts are told."""

    noun = Channel
    fetched = ("project", "broken")
    permissions = reading(Permission.CHANNEL_READ) | {
        "create": Permission.CHANNEL_CREATE,
        "partial_update": Permission.CHANNEL_CHANGE,
        "test": Permission.CHANNEL_TEST,
        "destroy": Permission.CHANNEL_DELETE,
    }
    serializer_class = ChannelShown
    filterset_class = ChannelFilters
    search_fields = ("name",)
    ordering_fields = BY_NAME

    @extend_schema(request=ChannelCreate, responses={201: ChannelShown})
    def create(self, request: Request) -> Response:
        """Tell alerts to a robot or webhook. Its URL is sealed and never shown again."""
        fields = self.body(ChannelCreate)
        channel = create_channel(reason=reason_of(request, fields), actor=self.actor(), **fields)
        return self.show(channel.pk, status.HTTP_201_CREATED)

    @extend_schema(request=ChannelChange, responses=ChannelShown)
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Change it; a broken one is tried again."""
        fields = self.body(ChannelChange, partial=True)
        reason = reason_of(request, fields)
        with self.locked(pk) as channel:
            change_channel(channel, actor=self.actor(), reason=reason, **fields)
        return self.show(pk)

    @extend_schema(request=Body, responses={202: DeliveryShown})
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: UUID) -> Response:
        """Order a test message. Its delivery tells what the vendor answered."""
        reason = reason_of(request, self.body(Body))
        with self.locked(pk) as channel:
            delivery = try_channel(channel, actor=self.actor(), reason=reason)
        return Response(DeliveryShown(delivery).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses={204: None})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Take it away with its deliveries. Needs a reason."""
        reason = reason_of(request, self.body(Body), required=True)
        with self.locked(pk) as channel:
            delete_channel(channel, actor=self.actor(), reason=reason)
        return Response(status=status.HTTP_204_NO_CONTENT)


class DeliveryFilters(django_filters.FilterSet):
    channel = django_filters.UUIDFilter("channel_id")
    state = django_filters.ChoiceFilter(choices=DeliveryState.choices)
    test = django_filters.BooleanFilter()


@extend_schema(tags=["deliveries"])
class Deliveries(NounViewSet):
    """What was sent, or is to be."""

    noun = Delivery
    fetched = ("channel__project",)
    listed = ("channel__name",)
    permissions = reading(Permission.CHANNEL_READ)
    serializer_class = DeliveryShown
    filterset_class = DeliveryFilters
    ordering_fields = CREATED_AT
    default_ordering = "-created_at"
