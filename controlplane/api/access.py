"""``/projects``, ``/users`` and ``/api-keys``."""

import secrets
from typing import Any
from uuid import UUID

import django_filters
from django.db.models import Q
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from controlplane.actions.change_project import change_project
from controlplane.actions.create_api_key import create_api_key
from controlplane.actions.create_project import create_project
from controlplane.actions.create_user import create_user
from controlplane.actions.revoke_api_key import revoke_api_key
from controlplane.actions.scopes import MOST_ENTRIES
from controlplane.api.fields import Body, Choice, Flag, Moment, Reference, Text
from controlplane.api.nouns import CREATED_AT, LABEL, NounViewSet, Shown, name_of, reading
from controlplane.api.preconditions import reason_of
from controlplane.models import ApiKey, Project, User
from controlplane.roles import Permission
from inference.contract import endpoints

MOST_ROUTES = 200
HOSTS = "Hosts from which its requests may let engines fetch media; *.example.com for all below a name."


class ProjectShown(Shown):
    name = serializers.CharField()
    title = serializers.CharField()
    media_hosts = serializers.ListField(child=serializers.CharField())


class ProjectCreate(Body):
    name = Text(max_length=52, pattern=LABEL, help_text="Lower-case letters, digits and hyphens.")
    title = Text(max_length=200, allow_blank=True, default="")
    media_hosts = serializers.ListField(
        child=Text(max_length=255), max_length=MOST_ENTRIES, default=list, help_text=HOSTS
    )


class ProjectChange(Body):
    title = Text(max_length=200, allow_blank=True, required=False)
    media_hosts = serializers.ListField(
        child=Text(max_length=255), max_length=MOST_ENTRIES, required=False, help_text=HOSTS
    )


class ProjectFilters(django_filters.FilterSet):
    name = django_filters.CharFilter()


@extend_schema(tags=["projects"])
class Projects(NounViewSet):
    """Tenants."""

    noun = Project
    permissions = reading(Permission.PROJECT_READ) | {
        "create": Permission.PROJECT_CREATE,
        "partial_update": Permission.PROJECT_CHANGE,
    }
    serializer_class = ProjectShown
    filterset_class = ProjectFilters
    search_fields = ("name", "title")

    @extend_schema(request=ProjectCreate, responses={201: ProjectShown})
    def create(self, request: Request) -> Response:
        """Found a project."""
        fields = self.body(ProjectCreate)
        project = create_project(reason=reason_of(request, fields), actor=self.actor(), **fields)
        return self.show(project.pk, status.HTTP_201_CREATED)

    @extend_schema(request=ProjectChange, responses={200: ProjectShown})
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Change what is given."""
        fields = self.body(ProjectChange)
        reason = reason_of(request, fields)
        with self.locked(pk) as project:
            change_project(project, actor=self.actor(), reason=reason, **fields)
        return self.show(pk)


class UserShown(serializers.Serializer[User]):
    id = serializers.IntegerField()
    username = serializers.CharField()
    email = serializers.CharField()
    superuser = serializers.BooleanField(source="is_superuser")
    staff = serializers.BooleanField(source="is_staff")
    active = serializers.BooleanField(source="is_active")
    must_change_password = serializers.BooleanField()
    created_at = serializers.DateTimeField(source="date_joined")
    last_login = serializers.DateTimeField(allow_null=True)


class UserCreated(UserShown):
    one_time_password = serializers.CharField(help_text="Shown this once; the first sign-in asks for another one.")


class UserCreate(Body):
    username = Text(max_length=150, pattern=r"^[\w.@+-]+$")
    email = Text(max_length=254, allow_blank=True, default="")
    superuser = Flag(default=False)


class UserFilters(django_filters.FilterSet):
    username = django_filters.CharFilter()
    active = django_filters.BooleanFilter("is_active")


@extend_schema(tags=["users"])
class Users(NounViewSet):
    """People who sign in to the console."""

    noun = User
    permissions = reading(Permission.USER_READ) | {"create": Permission.USER_CREATE}
    serializer_class = UserShown
    filterset_class = UserFilters
    search_fields = ("username", "email")
    ordering_fields = {"username": "username", **CREATED_AT}
    default_ordering = "username"
    lookup_value_converter = "user_id"

    @extend_schema(responses=UserShown)
    def retrieve(self, request: Request, pk: int) -> Response:  # type: ignore[override]
        """One person."""
        del request
        return self.show(pk)

    @extend_schema(request=UserCreate, responses={201: UserCreated})
    def create(self, request: Request) -> Response:
        """Give a person an account with a one-time password."""
        fields = self.body(UserCreate)
        password = secrets.token_urlsafe(15)
        user = create_user(password=password, reason=reason_of(request, fields), actor=self.actor(), **fields)
        return self.show(user.pk, status.HTTP_201_CREATED, one_time_password=password)


class ApiKeyShown(Shown):
    name = serializers.CharField()
    project = name_of("project.name")
    key_id = serializers.CharField(help_text="The public part of the key: sbx_<key_id>_…")
    routes = serializers.ListField(child=serializers.CharField(), allow_null=True)
    endpoints = serializers.ListField(child=serializers.CharField(), allow_null=True)
    cidrs = serializers.ListField(child=serializers.CharField(), allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)
    created_by = serializers.CharField()
    usable = serializers.BooleanField()


class ApiKeyCreated(ApiKeyShown):
    key = serializers.CharField(help_text="The whole key; shown this once and stored nowhere.")


class ApiKeyCreate(Body):
    project = Reference(Project)
    name = Text(max_length=100)
    routes = serializers.ListField(
        child=Text(max_length=128), max_length=MOST_ROUTES, allow_null=True, default=None,
        help_text="Names of the routes it may call; null: all that its project may call.",
    )  # fmt: skip
    endpoints = serializers.ListField(
        child=Choice(choices=endpoints.NAMES), max_length=len(endpoints.NAMES), allow_null=True, default=None,
        help_text="What it may call; null: everything.",
    )  # fmt: skip
    cidrs = serializers.ListField(
        child=Text(max_length=43), max_length=MOST_ENTRIES, allow_null=True, default=None,
        help_text="Networks from which it may be used, such as 10.0.0.0/8; null: anywhere.",
    )  # fmt: skip
    expires_at = Moment(allow_null=True, default=None)


class ApiKeyFilters(django_filters.FilterSet):
    name = django_filters.CharFilter()
    key_id = django_filters.CharFilter()
    project = django_filters.CharFilter("project__name")
    usable = django_filters.BooleanFilter(method="filter_usable")

    def filter_usable(self, queryset: Any, _name: str, value: bool) -> Any:
        ended = Q(revoked_at__isnull=False) | Q(expires_at__isnull=False, expires_at__lte=timezone.now())
        return queryset.filter(~ended if value else ended)


@extend_schema(tags=["api-keys"])
class ApiKeys(NounViewSet):
    """Keys of the gateway."""

    noun = ApiKey
    fetched = ("project",)
    permissions = reading(Permission.API_KEY_READ) | {
        "create": Permission.API_KEY_CREATE,
        "destroy": Permission.API_KEY_REVOKE,
    }
    serializer_class = ApiKeyShown
    filterset_class = ApiKeyFilters
    search_fields = ("name", "key_id", "created_by")
    ordering_fields = {"name": "name", **CREATED_AT}
    default_ordering = "-created_at"

    @extend_schema(request=ApiKeyCreate, responses={201: ApiKeyCreated})
    def create(self, request: Request) -> Response:
        """Make a key. The answer holds it whole, this once."""
        fields = self.body(ApiKeyCreate)
        made = create_api_key(reason=reason_of(request, fields), actor=self.actor(), **fields)
        return self.show(made.key.pk, status.HTTP_201_CREATED, key=made.token)

    @extend_schema(request=None, responses={200: ApiKeyShown})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Revoke a key: every gateway refuses it within a second. Its row stays. Needs a reason."""
        reason = reason_of(request, self.body(Body), required=True)
        with self.locked(pk) as key:
            revoke_api_key(key, actor=self.actor(), reason=reason)
        return self.show(pk)
