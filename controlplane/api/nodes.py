"""``/nodes``: the machines that engines run on."""

from typing import Any

import django_filters
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers

from audit.showing import Showing
from controlplane.api.nouns import CREATED_AT, NounViewSet, Shown, reading
from controlplane.models import Node
from controlplane.models.deployments import Backend
from controlplane.models.nodes import NodeState
from controlplane.roles import Permission


class GpuShown(Showing):
    """One GPU; null is what its driver does not tell."""

    name = serializers.CharField(default="")
    uuid = serializers.CharField(default="")
    driver = serializers.CharField(default="")
    memory_bytes = serializers.IntegerField(allow_null=True, default=None)
    memory_used_bytes = serializers.IntegerField(allow_null=True, default=None)
    utilisation = serializers.IntegerField(allow_null=True, default=None, help_text="Percent.")
    temperature = serializers.IntegerField(allow_null=True, default=None, help_text="Degrees Celsius.")


class NodeShown(Shown):
    name = serializers.CharField()
    backend = serializers.ChoiceField(Backend.choices)
    state = serializers.SerializerMethodField(help_text="`silent`: it has not told of itself for a minute.")
    system = serializers.CharField()
    cpu_cores = serializers.FloatField(help_text="As far as its processes may use them.")
    load = serializers.FloatField(allow_null=True, help_text="Processes that ran or waited in the last minute.")
    memory_bytes = serializers.IntegerField()
    memory_available_bytes = serializers.IntegerField()
    gpus = GpuShown(many=True)
    versions = serializers.DictField(child=serializers.CharField())
    replicas = serializers.ListField(child=serializers.CharField(), help_text="Names of those that run here.")
    message = serializers.CharField(help_text="What could not be seen, and why.")
    last_seen_at = serializers.DateTimeField()

    @extend_schema_field(serializers.ChoiceField(NodeState.choices))
    def get_state(self, node: Node) -> str:
        return node.state_at(timezone.now()).value


class NodeFilters(django_filters.FilterSet):
    name = django_filters.CharFilter()
    backend = django_filters.ChoiceFilter(choices=Backend.choices)
    state = django_filters.ChoiceFilter(choices=NodeState.choices, method="filter_state")

    def filter_state(self, queryset: Any, _name: str, value: str) -> Any:
        return queryset.in_state(value, timezone.now())


@extend_schema(tags=["nodes"])
class Nodes(NounViewSet):
    """Machines as their workers last saw them."""

    noun = Node
    permissions = reading(Permission.NODE_READ)
    serializer_class = NodeShown
    filterset_class = NodeFilters
    search_fields = ("name", "system")
    ordering_fields = {"name": "name", "last_seen_at": "last_seen_at", **CREATED_AT}
