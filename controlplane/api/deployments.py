"""``/deployments`` and ``/replicas``."""

from typing import Any
from uuid import UUID

import django_filters
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiParameter,
    PolymorphicProxySerializer,
    extend_schema,
    extend_schema_field,
)
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from audit.showing import Showing
from controlplane import engine_secrets, replica_log, replica_sources
from controlplane.access.asking import standing_in
from controlplane.access.lookups import access
from controlplane.actions import drafts
from controlplane.actions.change_deployment import change_deployment
from controlplane.actions.create_deployment import create_deployment
from controlplane.actions.delete_deployment import delete_deployment
from controlplane.actions.scale_deployment import scale_deployment
from controlplane.api import rehearsal
from controlplane.api.fields import Body, Choice, Flag, Object, Reference, Text, Whole
from controlplane.api.nouns import CREATED_AT, LABEL, NounViewSet, Shown, name_of, reading
from controlplane.api.preconditions import reason_of
from controlplane.api.rehearsal import DRY_RUN, Rehearsed
from controlplane.engine_options import LONGEST_KEY
from controlplane.engine_tls import LONGEST as LONGEST_CA
from controlplane.lifecycle import DeploymentState, ReplicaState
from controlplane.models import Deployment, ModelVersion, Project, Replica
from controlplane.models.deployments import Backend, Flavour
from controlplane.permissions import require
from controlplane.replica_sources import SourceAwayError
from controlplane.roles import Permission

HISTORY = 50
LONGEST_DRAIN = 3600
MOST_REPLICAS = 64


class StatusShown(Showing):
    """What the reconciler last saw."""

    state = serializers.ChoiceField(DeploymentState.choices)
    message = serializers.CharField()
    ready_replicas = serializers.IntegerField()
    observed_at = serializers.DateTimeField(allow_null=True)


class DeploymentShown(Shown):
    name = serializers.CharField()
    project = name_of("project.name")
    version = serializers.CharField(help_text="model:version")
    version_id = serializers.UUIDField()
    backend = serializers.ChoiceField(Backend.choices)
    flavour = serializers.ChoiceField(Flavour.choices)
    replicas = serializers.IntegerField()
    engine_args = serializers.DictField()
    engine_env = serializers.SerializerMethodField(help_text="Values of settings; all others are hidden: •••.")
    external_url = serializers.CharField()
    external_key_set = serializers.BooleanField(source="external_key", help_text="Whether a key is kept.")
    tls_ca = serializers.CharField()
    tls_verify = serializers.BooleanField()
    served_name = serializers.CharField()
    drain_seconds = serializers.IntegerField()
    kubernetes = serializers.DictField(help_text="Options of its pods that are not as by default.")
    deleted_at = serializers.DateTimeField(allow_null=True)
    status = StatusShown(allow_null=True, default=None)

    @extend_schema_field({"type": "object", "additionalProperties": {"type": "string"}})
    def get_engine_env(self, deployment: Deployment) -> dict[str, str]:
        return engine_secrets.shown_env(deployment)


class DeploymentChange(Body):
    version = Reference(ModelVersion, names=("model__name", "name"), fetched=("model",), required=False)
    replicas = Whole(min_value=0, max_value=MOST_REPLICAS, required=False, help_text="0 stops all engines.")
    engine_args = Object(required=False, help_text='Engine flags without dashes, such as {"max-model-len": 2048}.')
    engine_env = Object(
        required=False, help_text="Environment variables of the engine, kept sealed. ••• leaves a value as it is."
    )
    external_url = Text(max_length=200, allow_blank=True, required=False, help_text="Of an external engine only.")
    external_key = Text(
        max_length=LONGEST_KEY, allow_blank=True, required=False, write_only=True,
        help_text="What an external engine asks for as its bearer; kept sealed, never shown. Empty: it asks for none.",
    )  # fmt: skip
    tls_ca = Text(
        paragraphs=True, max_length=LONGEST_CA, allow_blank=True, required=False,
        help_text="Certificates in PEM that an external https engine is checked against; empty: the machine's.",
    )  # fmt: skip
    tls_verify = Flag(required=False, help_text="False: an external https engine is not checked at all.")
    served_name = Text(max_length=200, allow_blank=True, required=False, help_text="What the engine calls the model.")
    drain_seconds = Whole(min_value=0, max_value=LONGEST_DRAIN, required=False)
    kubernetes = Object(
        required=False,
        help_text="Options of the pods, of the backend kubernetes only; docs/kubernetes.md lists them.",
    )


class DeploymentCreate(DeploymentChange):
    name = Text(max_length=52, pattern=LABEL, help_text="Lower-case letters, digits and hyphens.")
    version = Reference(ModelVersion, names=("model__name", "name"), fetched=("model",), help_text="model:version")
    project = Reference(Project, allow_null=True, default=None, help_text="Null: the platform's.")
    backend = Choice(Backend.choices, required=False)
    flavour = Choice(Flavour.choices, required=False)


class DeploymentFilters(django_filters.FilterSet):
    name = django_filters.CharFilter()
    project = django_filters.CharFilter("project__name")
    model = django_filters.CharFilter("version__model__name")
    version = django_filters.CharFilter("version__name")
    backend = django_filters.ChoiceFilter(choices=Backend.choices)
    flavour = django_filters.ChoiceFilter(choices=Flavour.choices)
    state = django_filters.ChoiceFilter("status__state", choices=DeploymentState.choices)


class ReplicaShown(Shown):
    name = serializers.CharField()
    deployment = name_of("deployment.name")
    deployment_id = serializers.UUIDField()
    ordinal = serializers.IntegerField()
    state = serializers.ChoiceField(ReplicaState.choices)
    reason = serializers.CharField()
    message = serializers.CharField()
    url = serializers.CharField()
    pid = serializers.IntegerField(allow_null=True)
    restarts = serializers.IntegerField()
    retry_at = serializers.DateTimeField(allow_null=True)
    started_at = serializers.DateTimeField(allow_null=True)
    ready_at = serializers.DateTimeField(allow_null=True)


class TransitionShown(Showing):
    """One line of a replica's history."""

    at = serializers.DateTimeField()
    old_state = serializers.ChoiceField(ReplicaState.choices)
    new_state = serializers.ChoiceField(ReplicaState.choices)
    reason = serializers.CharField()
    message = serializers.CharField()
    log_tail = serializers.CharField()


class PodEventShown(Showing):
    """One thing that Kubernetes tells about a pod; `count` times so far, the last time `at`."""

    at = serializers.DateTimeField()
    type = serializers.CharField(help_text="Normal or Warning")
    reason = serializers.CharField()
    message = serializers.CharField()
    count = serializers.IntegerField()


class ReplicaDetail(ReplicaShown):
    history = serializers.SerializerMethodField()
    log_tail = serializers.SerializerMethodField()
    events = serializers.SerializerMethodField()

    @extend_schema_field(TransitionShown(many=True))
    def get_history(self, replica: Replica) -> Any:
        """The latest changes, newest first."""
        return TransitionShown.each(replica.history.all()[:HISTORY])

    @extend_schema_field(OpenApiTypes.STR)
    def get_log_tail(self, replica: Replica) -> str:
        """The last lines of its log; empty when there is none."""
        return replica_log.tail(replica) or ""

    @extend_schema_field(PodEventShown(many=True))
    def get_events(self, replica: Replica) -> Any:
        """What Kubernetes tells about its pod, the newest first; none for other backends or while it is away."""
        try:
            return PodEventShown.each(replica_sources.events(replica))
        except SourceAwayError:
            return []


class ReplicaFilters(django_filters.FilterSet):
    name = django_filters.CharFilter()
    deployment = django_filters.CharFilter("deployment__name")
    state = django_filters.ChoiceFilter(choices=ReplicaState.choices)


_CHANGED = PolymorphicProxySerializer("DeploymentChanged", [DeploymentShown, Rehearsed], resource_type_field_name=None)


@extend_schema(tags=["deployments"])
class Deployments(NounViewSet):
    """Versions on backends: what is desired, and under `status` what is observed."""

    noun = Deployment
    fetched = ("project", "version__model", "status")
    listed = (
        "project__name",
        "version__name",
        "version__model__name",
        "status__state",
        "status__message",
        "status__ready_replicas",
        "status__observed_at",
    )
    permissions = reading(Permission.DEPLOYMENT_READ) | {
        "create": Permission.DEPLOYMENT_CREATE,
        "partial_update": Permission.DEPLOYMENT_CHANGE,
        "destroy": Permission.DEPLOYMENT_DELETE,
        "replicas": Permission.DEPLOYMENT_READ,
    }
    serializer_class = DeploymentShown
    filterset_class = DeploymentFilters
    search_fields = ("name", "served_name", "version__model__name")
    listing = frozenset({"list", "replicas"})
    rehearsing = frozenset({"create", "partial_update", "destroy"})

    @extend_schema(request=DeploymentCreate, responses={200: Rehearsed, 201: DeploymentShown}, parameters=[DRY_RUN])
    def create(self, request: Request) -> Response:
        """Order engines for a version."""
        fields = self.body(DeploymentCreate)
        reason = reason_of(request, fields)
        if self.is_rehearsal():
            require(self.actor(), Permission.DEPLOYMENT_CREATE, fields["project"])
            return rehearsal.show(drafts.new_deployment(**fields), {})
        deployment = create_deployment(reason=reason, actor=self.actor(), **fields)
        return self.show(deployment.pk, status.HTTP_201_CREATED)

    @extend_schema(request=DeploymentChange, responses={200: _CHANGED}, parameters=[DRY_RUN])
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Scale it (`replicas`), or order other engines (all other fields)."""
        fields = self.body(DeploymentChange, partial=True)
        reason, actor = reason_of(request, fields), self.actor()
        if self.is_rehearsal():
            return self._rehearse_change(pk, fields)
        with self.locked(pk) as deployment:
            if "replicas" in fields:
                scale_deployment(deployment, replicas=fields.pop("replicas"), actor=actor, reason=reason)
            if fields:
                change_deployment(deployment, actor=actor, reason=reason, **fields)
        return self.show(pk)

    def _rehearse_change(self, pk: UUID, fields: dict[str, Any]) -> Response:
        with self.locked(pk) as deployment:
            if "replicas" in fields:
                require(self.actor(), Permission.DEPLOYMENT_SCALE, deployment.project)
            if fields.keys() - {"replicas"}:
                require(self.actor(), Permission.DEPLOYMENT_CHANGE, deployment.project)
            return rehearsal.show(deployment, drafts.change(deployment, **fields))

    @extend_schema(request=None, responses={200: Rehearsed, 202: DeploymentShown}, parameters=[DRY_RUN])
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Order its end: engines are drained, then it is gone. Needs a reason. Refused while a route leads to it."""
        reason = reason_of(request, self.body(Body), required=True)
        if self.is_rehearsal():
            with self.locked(pk) as deployment:
                require(self.actor(), Permission.DEPLOYMENT_DELETE, deployment.project)
                drafts.end(deployment, timezone.now())
                return rehearsal.show(deployment, {})
        with self.locked(pk) as deployment:
            delete_deployment(deployment, actor=self.actor(), reason=reason)
        return self.show(pk, status.HTTP_202_ACCEPTED)

    @extend_schema(
        responses=ReplicaShown(many=True), parameters=[OpenApiParameter("id", OpenApiTypes.UUID, OpenApiParameter.PATH)]
    )
    @action(
        detail=True, serializer_class=ReplicaShown, filterset_class=None, search_fields=(),
        ordering_fields={"ordinal": "ordinal"}, default_ordering="ordinal",
    )  # fmt: skip
    def replicas(self, request: Request, pk: UUID) -> Response:
        """The deployment's replicas."""
        self.find(self.get_queryset(), pk)
        rows = self.filter_queryset(
            access(Replica, standing_in(request)).filter(deployment=pk).select_related("deployment")
        )
        return self.get_paginated_response(self.get_serializer(self.paginate_queryset(rows), many=True).data)


@extend_schema(tags=["replicas"])
class Replicas(NounViewSet):
    """Engines as observed; one replica with its history and the end of its log."""

    noun = Replica
    fetched = ("deployment",)
    listed = ("deployment__name",)
    permissions = reading(Permission.DEPLOYMENT_READ)
    serializer_class = ReplicaShown
    filterset_class = ReplicaFilters
    search_fields = ("name", "message")
    ordering_fields = {"name": "name", **CREATED_AT}

    @extend_schema(responses=ReplicaDetail)
    def retrieve(self, request: Request, pk: UUID) -> Response:
        """One replica with its history and the end of its log."""
        self.serializer_class = ReplicaDetail
        return super().retrieve(request, pk)
