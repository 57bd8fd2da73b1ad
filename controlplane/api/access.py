"""``/projects`` and ``/users``."""

import secrets
from uuid import UUID

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from audit.showing import Showing
from controlplane.access.asking import standing_in
from controlplane.access.lookups import access
from controlplane.actions.change_project import change_project
from controlplane.actions.create_project import create_project
from controlplane.actions.create_user import create_user
from controlplane.actions.disable_user import disable_user
from controlplane.actions.enable_user import enable_user
from controlplane.actions.end_session import end_sessions
from controlplane.actions.erase_bodies import erase_bodies
from controlplane.actions.scopes import MOST_ENTRIES
from controlplane.api.fields import Body, Choice, Flag, Text
from controlplane.api.identity import SessionsEnded
from controlplane.api.joins import parts
from controlplane.api.nouns import CREATED_AT, LABEL, NounViewSet, Shown, reading
from controlplane.api.preconditions import reason_of
from controlplane.models import Project, RoleBinding, User
from controlplane.models.access import DataDomain, RegisterMode
from controlplane.roles import Permission, Role

HOSTS = "Hosts from which its requests may let engines fetch media; *.example.com for all below a name."
MODE = (
    "What the register keeps of its requests: nothing of their contents, digests of them, or the contents too, "
    "encrypted: with personal data masked, or whole."
)
DOMAIN = "What its contents are; told with whatever is kept of them."


class ProjectShown(Shown):
    name = serializers.CharField()
    title = serializers.CharField()
    media_hosts = serializers.ListField(child=serializers.CharField())
    register_mode = serializers.ChoiceField(RegisterMode.choices)
    data_domain = serializers.ChoiceField(DataDomain.choices)


class ProjectCreate(Body):
    name = Text(max_length=52, pattern=LABEL, help_text="Lower-case letters, digits and hyphens.")
    title = Text(max_length=200, allow_blank=True, default="")
    media_hosts = serializers.ListField(
        child=Text(max_length=255), max_length=MOST_ENTRIES, default=list, help_text=HOSTS
    )
    register_mode = Choice(RegisterMode.choices, default=RegisterMode.DIGEST, help_text=MODE)
    data_domain = Choice(DataDomain.choices, default=DataDomain.BUSINESS, help_text=DOMAIN)


class ProjectChange(Body):
    title = Text(max_length=200, allow_blank=True, required=False)
    media_hosts = serializers.ListField(
        child=Text(max_length=255), max_length=MOST_ENTRIES, required=False, help_text=HOSTS
    )
    register_mode = Choice(RegisterMode.choices, required=False, help_text=MODE)
    data_domain = Choice(DataDomain.choices, required=False, help_text=DOMAIN)


class Erasure(Body):
    person = Text(max_length=150, help_text="Who made the API keys it was sent with: their `created_by`.")


class Erased(Showing):
    person = serializers.CharField()
    erased_at = serializers.DateTimeField(source="shredded_at")


class ProjectFilters(django_filters.FilterSet):
    name = django_filters.CharFilter()


@extend_schema(tags=["projects"])
class Projects(NounViewSet):
    """Tenants."""

    noun = Project
    permissions = reading(Permission.PROJECT_READ) | {
        "create": Permission.PROJECT_CREATE,
        "partial_update": Permission.PROJECT_CHANGE,
        "erasures": Permission.AUDIT_BODY_ERASE,
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

    @extend_schema(request=Erasure, responses={201: Erased})
    @action(detail=True, methods=["post"])
    def erasures(self, request: Request, pk: UUID) -> Response:
        """Make all that is kept of a person's contents unreadable for ever, by shredding their key. Needs a reason.

        Events and seals stay as they are: they hold digests alone.
        """
        with self.locked(pk) as project:
            fields = self.body(Erasure)
            reason = reason_of(request, fields, required=True)
            pair = erase_bodies(project, person=fields["person"], actor=self.actor(), reason=reason)
        return Response(Erased(pair).data, status.HTTP_201_CREATED)


class HeldShown(Showing):
    """A role that somebody holds."""

    role = serializers.ChoiceField(Role.choices)
    project = serializers.CharField(allow_null=True, default=None, help_text="Null: on the whole platform.")


class UserShown(Showing):
    id = serializers.IntegerField()
    username = serializers.CharField()
    email = serializers.CharField()
    superuser = serializers.BooleanField(source="is_superuser")
    staff = serializers.BooleanField(source="is_staff")
    active = serializers.BooleanField(source="is_active")
    must_change_password = serializers.BooleanField()
    created_at = serializers.DateTimeField(source="date_joined")
    last_login = serializers.DateTimeField(allow_null=True)
    roles = HeldShown(many=True, source="seen_bindings", help_text="As far as whoever asks may see them.")


class UserCreated(UserShown):
    one_time_password = serializers.CharField(help_text="Shown this once; the first sign-in asks for another one.")


class UserCreate(Body):
    username = Text(max_length=150, pattern=r"^[\w.@+-]+$")
    email = Text(max_length=254, allow_blank=True, default="")
    superuser = Flag(default=False)


class UserChange(Body):
    active = Flag(help_text="False takes everything from them at once: sessions, tokens, sign-in. Needs a reason.")


class UserFilters(django_filters.FilterSet):
    username = django_filters.CharFilter()
    active = django_filters.BooleanFilter("is_active")


@extend_schema(tags=["users"])
class Users(NounViewSet):
    """People who sign in to the console."""

    noun = User
    permissions = reading(Permission.USER_READ) | {
        "create": Permission.USER_CREATE,
        "partial_update": Permission.USER_CHANGE,
        "sessions": Permission.USER_CHANGE,
    }
    serializer_class = UserShown
    filterset_class = UserFilters
    search_fields = ("username", "email")
    ordering_fields = {"username": "username", **CREATED_AT}
    default_ordering = "username"
    lookup_value_converter = "user_id"

    def shaped(self, rows: QuerySet[User]) -> QuerySet[User]:
        bindings = access(RoleBinding, standing_in(self.request)).order_by("created_at")
        return super().shaped(
            rows.annotate(seen_bindings=parts(bindings, "user", role="role", project="project__name"))
        )

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

    @extend_schema(request=UserChange, responses={200: UserShown})
    def partial_update(self, request: Request, pk: int) -> Response:
        """Switch a person off or on."""
        fields = self.body(UserChange)
        reason = reason_of(request, fields)
        with self.locked(pk) as user:
            change = enable_user if fields["active"] else disable_user
            change(user, actor=self.actor(), reason=reason)
        return self.show(pk)

    @extend_schema(request=None, responses={200: SessionsEnded})
    @action(detail=True, methods=["delete"])
    def sessions(self, request: Request, pk: int) -> Response:
        """End all sessions of a person. Needs a reason."""
        reason = reason_of(request, self.body(Body), required=True)
        with self.locked(pk) as user:
            ended = end_sessions(user, actor=self.actor(), reason=reason)
        return Response(SessionsEnded({"ended": ended}).data)
