"""``/audit/exports``: the register as files, written by workers, fetched by who asked for them."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import django_filters
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from audit.exporting import Format
from audit.finding import Selection
from audit.models import Event
from audit.operations import Operation
from audit.showing import Showing
from controlplane import downloads
from controlplane.access.lookups import access
from controlplane.actions.cancel_export import cancel_export
from controlplane.actions.request_export import request_export
from controlplane.api.fields import Body, Choice, Flag, Moment, Part, Reference, Text
from controlplane.api.filters import refuse_unknown
from controlplane.api.nouns import CREATED_AT, NounViewSet, Shown, name_of, reading
from controlplane.api.preconditions import reason_of
from controlplane.lifecycle import ExportState
from controlplane.models import Export, Project
from controlplane.roles import Permission


class FileShown(Showing):
    name = serializers.CharField(help_text="content, leaves, manifest or signature")
    bytes = serializers.IntegerField()
    url = serializers.CharField(help_text="Good for ten minutes, and for who asked for the export alone.")


class ExportShown(Shown):
    name = serializers.CharField(source="__str__")
    project = name_of("project.name", help_text="Null: the whole register.")
    format = serializers.ChoiceField([(it.value, it.value) for it in Format])
    bom = serializers.BooleanField()
    filter = serializers.DictField(source="selection", child=serializers.CharField())
    requested_by = serializers.CharField(source="requester_name")
    state = serializers.ChoiceField(ExportState.choices)
    problem = serializers.CharField(help_text="What is in the way, such as disk_full; empty when all is well.")
    progress = serializers.IntegerField(help_text="Per cent of the time range.")
    rows = serializers.IntegerField()
    bytes = serializers.IntegerField(help_text="Compressed, so far.")
    unsealed = serializers.IntegerField(help_text="Entries that no signed checkpoint covered yet.")
    sha256 = serializers.CharField(help_text="Of the compressed file, once it is done.")
    finished_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    files = serializers.SerializerMethodField(help_text="Empty until it is done, and for everybody else.")

    @extend_schema_field(FileShown(many=True))
    def get_files(self, export: Export) -> list[dict[str, Any]]:
        view: Any = self.context["view"]
        if view.action != "retrieve" or export.state != ExportState.DONE:
            return []
        request = self.context["request"]
        path = f"{request.path.rstrip('/')}/download"
        return [
            {"name": it.name, "bytes": it.bytes,
             "url": request.build_absolute_uri(f"{path}?{urlencode({'ticket': it.ticket})}")}
            for it in downloads.offered(export, view.actor())
        ]  # fmt: skip


class Filter(Part):
    """As the parameters of ``/audit/events``; what is left out does not narrow."""

    since = Moment(required=False)
    until = Moment(required=False)
    kind = Choice(Event.Kind.choices, required=False)
    operation = Choice([(it.value, it.value) for it in Operation], required=False)
    request_id = Text(max_length=128, required=False)
    actor_type = Text(max_length=50, required=False)
    actor_id = Text(max_length=100, required=False)
    actor_name = Text(max_length=200, required=False)
    target_type = Text(max_length=50, required=False)
    target_id = Text(max_length=200, required=False)
    target_name = Text(max_length=200, required=False)
    source = Text(max_length=20, required=False)  # type: ignore[assignment]  # no field's source, but a field
    status = Text(max_length=100, required=False)
    search = Text(max_length=200, required=False)


class ExportCreate(Body):
    project = Reference(
        Project, allow_null=True, default=None,
        among=lambda standing: access(Project, standing, Permission.AUDIT_EXPORT),
        help_text="Whose entries alone it holds. Null: the whole register, which needs the right on the platform.",
    )  # fmt: skip
    format = Choice([(it.value, it.value) for it in Format], default=Format.JSONL.value)
    bom = Flag(default=False, help_text="CSV only: so that Excel reads Chinese.")
    filter = Filter(required=False)


class ExportFilters(django_filters.FilterSet):
    state = django_filters.ChoiceFilter(choices=ExportState.choices)
    project = django_filters.CharFilter("project__name")


@extend_schema(tags=["audit"])
class Exports(NounViewSet):
    """The register as files."""

    noun = Export
    fetched = ("project",)
    permissions = reading(Permission.AUDIT_EXPORT) | {
        "create": Permission.AUDIT_EXPORT,
        "destroy": Permission.AUDIT_EXPORT,
        "download": Permission.AUDIT_EXPORT,
    }
    serializer_class = ExportShown
    filterset_class = ExportFilters
    ordering_fields = CREATED_AT
    default_ordering = "-created_at"
    listing = NounViewSet.listing | {"download"}

    @extend_schema(request=ExportCreate, responses={201: ExportShown})
    def create(self, request: Request) -> Response:
        """Order an export. It ends now at the latest; a worker writes it."""
        fields = self.body(ExportCreate)
        reason = reason_of(request, fields)
        asked = fields.pop("filter", {})
        selection = Selection.of(asked | {"text": asked.get("search", "")})
        form = Format(fields.pop("format"))
        export = request_export(form=form, selection=selection, actor=self.actor(), reason=reason, **fields)
        return self.show(export.pk, status.HTTP_201_CREATED)

    @extend_schema(request=None, responses={200: ExportShown})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Stop an export that is not finished. Needs a reason."""
        reason = reason_of(request, self.body(Body), required=True)
        with self.locked(pk) as export:
            cancel_export(export, actor=self.actor(), reason=reason)
        return self.show(pk)

    @extend_schema(
        parameters=[OpenApiParameter("ticket", OpenApiTypes.STR, required=True)],
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
    )
    @action(detail=True)
    def download(self, request: Request, pk: UUID) -> HttpResponseBase:
        """A file of an export, by a link that the export shows."""
        refuse_unknown(request, {"ticket"})
        export = self.find(self.get_queryset(), pk)
        if "ticket" not in request.query_params:
            raise ValidationError({"ticket": ["Expected a value."]})
        return downloads.fetch(request._request, export, request.query_params["ticket"], actor=self.actor())  # noqa: SLF001
