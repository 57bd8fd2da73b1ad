"""``/roles`` and ``/role-bindings``: what a role may do, and who holds which where."""

from typing import Any
from uuid import UUID

import django_filters
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_serializer
from rest_framework import serializers, status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from audit.showing import Showing
from controlplane.access.asking import standing_in
from controlplane.access.lookups import grantable
from controlplane.actions.grant_role import grant_role
from controlplane.actions.revoke_role import revoke_role
from controlplane.api.fields import Body, Choice, Reference
from controlplane.api.filters import refuse_unknown
from controlplane.api.nouns import CREATED_AT, NounViewSet, Shown, name_of, reading
from controlplane.api.preconditions import reason_of
from controlplane.models import Project, RoleBinding, ServiceAccount, User
from controlplane.roles import PERMISSIONS_OF, Permission, Role, reach


class RoleShown(Showing):
    name = serializers.ChoiceField(Role.choices)
    permissions = serializers.ListField(child=serializers.ChoiceField([it.value for it in Permission]))


@extend_schema_serializer(many=False)
class RolesShown(Showing):
    """All of them: there is one page."""

    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = RoleShown(many=True)


def _shown(role: Role) -> dict[str, Any]:
    return {"name": role.value, "permissions": sorted(PERMISSIONS_OF[role])}


@extend_schema(tags=["roles"])
class Roles(GenericViewSet[Any]):
    """The built-in roles, from most to least. They are part of the program and cannot be changed."""

    permissions = reading(Permission.ROLE_READ)
    queryset = RoleBinding.objects.none()
    serializer_class = RoleShown
    pagination_class = None
    filter_backends = ()
    lookup_value_converter = "str"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        refuse_unknown(request, frozenset())

    @extend_schema(responses=RolesShown)
    def list(self, request: Request) -> Response:
        """All roles with what each may do."""
        del request
        return Response({"next": None, "previous": None, "results": [_shown(role) for role in Role]})

    @extend_schema(
        responses=RoleShown, parameters=[OpenApiParameter("id", str, OpenApiParameter.PATH, enum=Role.values)]
    )
    def retrieve(self, request: Request, pk: str) -> Response:
        """One role."""
        if pk not in Role.values or not self.may_read(request):
            raise NotFound
        return Response(_shown(Role(pk)))

    def may_read(self, request: Request) -> bool:
        return bool(reach(standing_in(request), Permission.ROLE_READ))


class BindingShown(Shown):
    user = name_of("user.username")
    user_id = serializers.IntegerField(allow_null=True)
    service_account = name_of("service_account.name")
    service_account_id = serializers.UUIDField(allow_null=True)
    role = serializers.ChoiceField(Role.choices)
    project = name_of("project.name", help_text="Null: on the whole platform.")
    created_by = serializers.CharField()


class BindingCreate(Body):
    user = Reference(
        User, names=("username",), among=grantable, allow_null=True, default=None, help_text="A person's user name."
    )
    service_account = Reference(
        ServiceAccount, fetched=("project",), allow_null=True, default=None,
        help_text="A machine; a binding is for a person or for a machine.",
    )  # fmt: skip
    role = Choice(Role.choices)
    project = Reference(Project, allow_null=True, default=None, help_text="Null: on the whole platform.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if (attrs["user"] is None) == (attrs["service_account"] is None):
            raise serializers.ValidationError({"user": [_("Name a user or a service account, and only one.")]})
        return attrs


class BindingFilters(django_filters.FilterSet):
    user = django_filters.CharFilter("user__username")
    service_account = django_filters.CharFilter("service_account__name")
    role = django_filters.ChoiceFilter(choices=Role.choices)
    project = django_filters.CharFilter("project__name")


@extend_schema(tags=["role-bindings"])
class RoleBindings(NounViewSet):
    """Who holds which role, on a project or on the whole platform."""

    noun = RoleBinding
    fetched = ("user", "service_account", "project")
    listed = ("user__username", "service_account__name", "project__name")
    permissions = reading(Permission.ROLE_READ) | {"create": Permission.ROLE_GRANT, "destroy": Permission.ROLE_GRANT}
    serializer_class = BindingShown
    filterset_class = BindingFilters
    ordering_fields = CREATED_AT
    default_ordering = "-created_at"

    @extend_schema(request=BindingCreate, responses={201: BindingShown})
    def create(self, request: Request) -> Response:
        """Let a person or a machine have a role. Nobody grants more than they hold there themselves."""
        fields = self.body(BindingCreate)
        reason = reason_of(request, fields)
        holder: Any = fields["user"] or fields["service_account"]
        binding = grant_role(holder, role=fields["role"], project=fields["project"], actor=self.actor(), reason=reason)
        return self.show(binding.pk, status.HTTP_201_CREATED)

    @extend_schema(request=None, responses={204: None})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Take the role away; it is gone with the holder's next request. Needs a reason."""
        reason = reason_of(request, self.body(Body), required=True)
        with self.locked(pk) as binding:
            revoke_role(binding, actor=self.actor(), reason=reason)
        return Response(status=status.HTTP_204_NO_CONTENT)
