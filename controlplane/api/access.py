"""``/projects``, ``/users`` and ``/api-keys``."""

import secrets
from typing import Any
from uuid import UUID

import django_filters
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from controlplane.actions.create_api_key import create_api_key
from controlplane.actions.create_project import create_project
from controlplane.actions.create_user import create_user
from controlplane.actions.revoke_api_key import revoke_api_key
from controlplane.api.fields import Body, Flag, Moment, Reference, Text
from controlplane.api.nouns import CREATED_AT, LABEL, NounViewSet, Shown, name_of
from controlplane.api.preconditions import reason_of
from controlplane.models import ApiKey, Project, User

MOST_ROUTES = 200


class ProjectShown(Shown):
    name = serializers.CharField()
    title = serializers.CharField()


class ProjectCreate(Body):
    name = Text(max_length=52, pattern=LABEL, help_text="Lower-case letters, digits and hyphens.")
    title = Text(max_length=200, allow_blank=True, default="")


class ProjectFilters(django_filters.FilterSet):
    name = django_filters.CharFilter()


@extend_schema(tags=["projects"])
class Projects(NounViewSet):
    """Tenants."""

    queryset = Project.objects.all()
    serializer_class = ProjectShown
    filterset_class = ProjectFilters
    search_fields = ("name", "title")

    @extend_schema(request=ProjectCreate, responses={201: ProjectShown})
    def create(self, request: Request) -> Response:
        """Found a project."""
        fields = self.body(ProjectCreate)
        project = create_project(reason=reason_of(request, fields), actor=self.actor(), **fields)
        return self.show(project.pk, status.HTTP_201_CREATED)


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

    queryset = User.objects.all()
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
    expires_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)
    created_by = serializers.CharField()
    usable = serializers.BooleanField()


class ApiKeyCreated(ApiKeyShown):
    key = serializers.CharField(help_text="The whole key; shown this once and stored nowhere.")


class ApiKeyCreate(Body):
    project = Reference(Project.objects.all())
    name = Text(max_length=100)
    routes = serializers.ListField(
        child=Text(max_length=128), max_length=MOST_ROUTES, allow_null=True, default=None,
        help_text="Names of the routes it may call; null: all that its project may call.",
    )  # fmt: skip
    expires_at = Moment(allow_null=True, default=None)


class ApiKeyFilters(django_filters.FilterSet):
    name = django_filters.CharFilter()
    key_id = django_filters.CharFilter()
    project = django_filters.CharFilter("project__name")
    usable = django_filters.BooleanFilter(method="filter_usable")

    def filter_usable(self, queryset: Any, _name: str, value: bool) -> Any:
        usable = ApiKey.objects.filter(revoked_at=None).exclude(expires_at__lte=timezone.now())
        return queryset.filter(pk__in=usable) if value else queryset.exclude(pk__in=usable)


@extend_schema(tags=["api-keys"])
class ApiKeys(NounViewSet):
    """Keys of the gateway."""

    queryset = ApiKey.objects.select_related("project")
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
