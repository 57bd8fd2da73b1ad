"""``/sessions``, ``/tokens`` and ``/service-accounts``: how people and machines prove who they are."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from audit.showing import Showing
from controlplane.access.asking import standing_in
from controlplane.access.lookups import access_and_own
from controlplane.actions.change_service_account import change_service_account
from controlplane.actions.create_service_account import create_service_account
from controlplane.actions.create_token import create_token
from controlplane.actions.end_session import end_session, end_sessions
from controlplane.actions.revoke_token import revoke_token
from controlplane.actions.rotate_token import LONGEST_OVERLAP, USUAL_OVERLAP, rotate_token
from controlplane.api.fields import Body, Flag, Moment, Reference, Text, Whole
from controlplane.api.nouns import BY_NAME, CREATED_AT, LABEL, NounViewSet, Shown, name_of, reading
from controlplane.api.preconditions import reason_of
from controlplane.models import ManagementToken, Project, ServiceAccount, User, UserSession
from controlplane.roles import Permission
from controlplane.sessions import session_of


class OwnedViewSet(NounViewSet):
    """A noun that belongs to people: everybody sees their own, and what their roles show besides."""

    own = frozenset({"list", "retrieve", "destroy"})

    def get_queryset(self) -> QuerySet[Any]:
        if getattr(self, "swagger_fake_view", False):
            return super().get_queryset()
        return self.shaped(access_and_own(self.noun, standing_in(self.request), self.request.user))


class SessionShown(Shown):
    user = serializers.CharField(source="user.username")
    user_id = serializers.IntegerField()
    kind = serializers.ChoiceField(UserSession.Kind.choices)
    address = serializers.CharField(allow_null=True)
    device = serializers.CharField(help_text="As it names itself.")
    last_seen_at = serializers.DateTimeField(help_text="To the minute.")
    expires_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    end_reason = serializers.CharField()


class SessionsEnded(Showing):
    ended = serializers.IntegerField(help_text="How many there were.")


class SessionFilters(django_filters.FilterSet):
    user = django_filters.CharFilter("user__username")
    kind = django_filters.ChoiceFilter(choices=UserSession.Kind.choices)
    live = django_filters.BooleanFilter(method="filter_live")

    def filter_live(self, queryset: Any, _name: str, value: bool) -> Any:
        live = UserSession.objects.live().values("pk")
        return queryset.filter(pk__in=live) if value else queryset.exclude(pk__in=live)


@extend_schema(tags=["sessions"])
class Sessions(OwnedViewSet):
    """Where people are signed in, in browsers and at this API."""

    noun = UserSession
    fetched = ("user",)
    listed = ("user__username",)
    permissions = reading(Permission.USER_CHANGE) | {"destroy": Permission.USER_CHANGE}
    own = OwnedViewSet.own | {"others"}
    serializer_class = SessionShown
    filterset_class = SessionFilters
    ordering_fields = CREATED_AT
    default_ordering = "-created_at"

    @extend_schema(request=None, responses={200: SessionShown})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """End a session: its next request is refused. Its row stays for a while. Needs a reason."""
        reason = reason_of(request, self.body(Body), required=True)
        with self.locked(pk) as session:
            end_session(session, actor=self.actor(), reason=reason)
        return self.show(pk)

    @extend_schema(request=None, responses={200: SessionsEnded})
    @action(detail=False, methods=["delete"])
    def others(self, request: Request) -> Response:
        """End all one's own sessions but for the one that asks. Needs a reason."""
        reason = reason_of(request, self.body(Body), required=True)
        if not isinstance(request.user, User):
            raise PermissionDenied
        keep = request.auth if isinstance(request.auth, UserSession) else session_of(request._request)  # noqa: SLF001
        ended = end_sessions(request.user, keep=keep, actor=self.actor(), reason=reason)
        return Response(SessionsEnded({"ended": ended}).data)


class TokenShown(Shown):
    name = serializers.CharField()
    token_id = serializers.CharField(help_text="The public part of the token: sbm_<token_id>_…")
    user = name_of("user.username")
    service_account = name_of("service_account.name")
    service_account_id = serializers.UUIDField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True, help_text="To the minute.")


class TokenCreated(TokenShown):
    token = serializers.CharField(help_text="The whole token; shown this once and stored nowhere.")


class TokenCreate(Body):
    name = Text(max_length=100, help_text="Which script or system will use it.")
    service_account = Reference(
        ServiceAccount, fetched=("project",), allow_null=True, default=None,
        help_text="Whose token it is. Null: one's own, which needs a session or an access token.",
    )  # fmt: skip
    expires_at = Moment(allow_null=True, default=None)


class TokenRotate(Body):
    overlap_seconds = Whole(
        min_value=0, max_value=int(LONGEST_OVERLAP.total_seconds()), default=int(USUAL_OVERLAP.total_seconds()),
        help_text="How long the old token is let in as well; 0: it ends at once, as it should when it has leaked.",
    )  # fmt: skip
    expires_at = Moment(
        allow_null=True, default=None, help_text="Null: it lives as long as the old one was meant to, from now on."
    )


class TokenFilters(django_filters.FilterSet):
    name = django_filters.CharFilter()
    token_id = django_filters.CharFilter()
    user = django_filters.CharFilter("user__username")
    service_account = django_filters.CharFilter("service_account__name")
    usable = django_filters.BooleanFilter(method="filter_usable")

    def filter_usable(self, queryset: Any, _name: str, value: bool) -> Any:
        usable = ManagementToken.objects.usable().values("pk")
        return queryset.filter(pk__in=usable) if value else queryset.exclude(pk__in=usable)


@extend_schema(tags=["tokens"])
class Tokens(OwnedViewSet):
    """Management tokens: bearers of this API."""

    noun = ManagementToken
    fetched = ("user", "service_account__project")
    listed = ("user__username", "service_account__name")
    permissions = reading(Permission.TOKEN_READ) | {
        "create": Permission.TOKEN_CREATE,
        "rotate": Permission.TOKEN_CREATE,
        "destroy": Permission.TOKEN_REVOKE,
    }
    own = OwnedViewSet.own | {"create", "rotate"}
    serializer_class = TokenShown
    filterset_class = TokenFilters
    search_fields = ("name", "token_id")
    ordering_fields = BY_NAME
    default_ordering = "-created_at"

    @extend_schema(request=TokenCreate, responses={201: TokenCreated})
    def create(self, request: Request) -> Response:
        """Make a token, of one's own or of a service account. The answer holds it whole, this once."""
        fields = self.body(TokenCreate)
        reason = reason_of(request, fields)
        owner: Any = fields.pop("service_account") or request.user
        made = create_token(owner, actor=self.actor(), reason=reason, **fields)
        return self.show(made.row.pk, status.HTTP_201_CREATED, token=made.token)

    @extend_schema(request=TokenRotate, responses={201: TokenCreated})
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, pk: UUID) -> Response:
        """Make another token in its place, shown this once; the old one is let in for a while as well."""
        fields = self.body(TokenRotate)
        reason, overlap = reason_of(request, fields), timedelta(seconds=fields["overlap_seconds"])
        with self.locked(pk) as token:
            made = rotate_token(
                token, overlap=overlap, expires_at=fields["expires_at"], actor=self.actor(), reason=reason
            )
        return self.show(made.row.pk, status.HTTP_201_CREATED, token=made.token)

    @extend_schema(request=None, responses={200: TokenShown})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Revoke a token: it is refused at once. Its row stays. Needs a reason."""
        reason = reason_of(request, self.body(Body), required=True)
        with self.locked(pk) as token:
            revoke_token(token, actor=self.actor(), reason=reason)
        return self.show(pk)


class AccountShown(Shown):
    name = serializers.CharField()
    project = name_of("project.name")
    description = serializers.CharField()
    active = serializers.BooleanField(source="is_active")


class AccountCreate(Body):
    name = Text(max_length=52, pattern=LABEL, help_text="Lower-case letters, digits and hyphens.")
    project = Reference(Project, allow_null=True, default=None, help_text="Null: the platform's.")
    description = Text(max_length=500, allow_blank=True, default="")


class AccountChange(Body):
    description = Text(max_length=500, allow_blank=True, required=False)
    active = Flag(required=False, help_text="False revokes its tokens at once and needs a reason.")


class AccountFilters(django_filters.FilterSet):
    name = django_filters.CharFilter()
    project = django_filters.CharFilter("project__name")
    active = django_filters.BooleanFilter("is_active")


@extend_schema(tags=["service-accounts"])
class ServiceAccounts(NounViewSet):
    """Machines that call this API. They do nothing until a role is bound to them, and have tokens only."""

    noun = ServiceAccount
    fetched = ("project",)
    listed = ("project__name",)
    permissions = reading(Permission.USER_READ) | {
        "create": Permission.SERVICE_ACCOUNT_CREATE,
        "partial_update": Permission.SERVICE_ACCOUNT_CHANGE,
    }
    serializer_class = AccountShown
    filterset_class = AccountFilters
    search_fields = ("name", "description")

    @extend_schema(request=AccountCreate, responses={201: AccountShown})
    def create(self, request: Request) -> Response:
        """Give a machine an account."""
        fields = self.body(AccountCreate)
        account = create_service_account(reason=reason_of(request, fields), actor=self.actor(), **fields)
        return self.show(account.pk, status.HTTP_201_CREATED)

    @extend_schema(request=AccountChange, responses={200: AccountShown})
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Describe it otherwise, or switch it off or on."""
        fields = self.body(AccountChange, partial=True)
        reason = reason_of(request, fields)
        if "active" in fields:
            fields["is_active"] = fields.pop("active")
        with self.locked(pk) as account:
            change_service_account(account, actor=self.actor(), reason=reason, **fields)
        return self.show(pk)
