"""``/models`` and ``/versions``."""

from uuid import UUID

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from controlplane.actions.create_model import create_model
from controlplane.actions.create_version import create_version
from controlplane.actions.retire_version import retire_version
from controlplane.actions.set_price import set_price
from controlplane.api.fields import Body, Choice, Reference, Text, Whole
from controlplane.api.nouns import BY_NAME, LABEL, NounViewSet, Shown, name_of, reading
from controlplane.api.preconditions import reason_of
from controlplane.lifecycle import VersionState
from controlplane.models import Model, ModelVersion, Project
from controlplane.roles import Permission
from controlplane.text import ONE_LINE
from inference.contract.budgets import HIGHEST_PRICE

LONGEST_CONTEXT = 100_000_000
SOURCE = ONE_LINE.replace("^", r"^(/|hf:|modelscope:|external:)", 1)


class ModelShown(Shown):
    name = serializers.CharField()
    project = name_of("project.name")
    description = serializers.CharField()


class ModelCreate(Body):
    name = Text(max_length=52, pattern=LABEL, help_text="Lower-case letters, digits and hyphens.")
    project = Reference(Project, allow_null=True, default=None, help_text="Null: every project may use it.")
    description = Text(paragraphs=True, max_length=2000, allow_blank=True, default="")


class ModelFilters(django_filters.FilterSet):
    name = django_filters.CharFilter()
    project = django_filters.CharFilter("project__name")


@extend_schema(tags=["models"])
class Models(NounViewSet):
    """Models by name; their weights belong to their versions."""

    noun = Model
    fetched = ("project",)
    listed = ("project__name",)
    permissions = reading(Permission.MODEL_READ) | {"create": Permission.MODEL_CREATE}
    serializer_class = ModelShown
    filterset_class = ModelFilters
    search_fields = ("name", "description")

    @extend_schema(request=ModelCreate, responses={201: ModelShown})
    def create(self, request: Request) -> Response:
        """Register a model."""
        fields = self.body(ModelCreate)
        model = create_model(reason=reason_of(request, fields), actor=self.actor(), **fields)
        return self.show(model.pk, status.HTTP_201_CREATED)


PRICE_HELP = "Of a million tokens, in millionths of a unit of cost; 0: they cost nothing."


def _price() -> Whole:
    return Whole(min_value=0, max_value=HIGHEST_PRICE, required=False, help_text=PRICE_HELP)


class VersionShown(Shown):
    model = name_of("model.name")
    model_id = serializers.UUIDField()
    name = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # the name is the noun's
    max_model_len = serializers.IntegerField(allow_null=True)
    prompt_price_micros = serializers.IntegerField(help_text=PRICE_HELP)
    completion_price_micros = serializers.IntegerField(help_text=PRICE_HELP)
    state = serializers.ChoiceField(VersionState.choices)


class VersionCreate(Body):
    model = Reference(Model)
    name = Text(max_length=52, pattern=LABEL, help_text="Lower-case letters, digits and hyphens.")
    source = Text(  # type: ignore[assignment]
        max_length=500, pattern=SOURCE, help_text="An absolute directory, hf:…, modelscope:… or external:…."
    )
    max_model_len = Whole(min_value=1, max_value=LONGEST_CONTEXT, allow_null=True, default=None)


class VersionChange(Body):
    state = Choice([VersionState.RETIRED.value], required=False, help_text="A retired version is deployed no more.")
    prompt_price_micros = _price()
    completion_price_micros = _price()


class VersionFilters(django_filters.FilterSet):
    name = django_filters.CharFilter()
    model = django_filters.CharFilter("model__name")
    state = django_filters.ChoiceFilter(choices=VersionState.choices)


@extend_schema(tags=["versions"])
class Versions(NounViewSet):
    """Sets of weights."""

    noun = ModelVersion
    fetched = ("model__project",)
    listed = ("model__name",)
    permissions = reading(Permission.MODEL_READ) | {
        "create": Permission.VERSION_CREATE,
        "partial_update": Permission.VERSION_RETIRE,
    }
    serializer_class = VersionShown
    filterset_class = VersionFilters
    search_fields = ("name", "model__name", "source")
    ordering_fields = BY_NAME
    default_ordering = "-created_at"

    @extend_schema(request=VersionCreate, responses={201: VersionShown})
    def create(self, request: Request) -> Response:
        """Register one set of weights of a model."""
        fields = self.body(VersionCreate)
        version = create_version(fields.pop("model"), reason=reason_of(request, fields), actor=self.actor(), **fields)
        return self.show(version.pk, status.HTTP_201_CREATED)

    @extend_schema(request=VersionChange, responses=VersionShown)
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Set its prices; or retire it, which needs a reason and is refused while a deployment runs it."""
        fields = self.body(VersionChange)
        retires = fields.pop("state", None) is not None
        reason = reason_of(request, fields, required=retires)
        with self.locked(pk) as version:
            if fields:
                set_price(version, actor=self.actor(), reason=reason, **fields)
            if retires:
                retire_version(version, actor=self.actor(), reason=reason)
        return self.show(pk)
