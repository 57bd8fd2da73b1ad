"""``/auth``: from a password to an access token of some minutes, with a refresh token that is good for one use each."""

from math import ceil
from typing import Any

from django.contrib.auth import authenticate
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import APIException, PermissionDenied
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.record import Actor
from audit.showing import Showing
from controlplane import actors
from controlplane.access_tokens import LIFETIME
from controlplane.actions.change_password import change_password
from controlplane.actions.refresh_session import BadRefreshToken, refresh_session
from controlplane.actions.start_session import TokenPair, start_api_session
from controlplane.actions.stop_session import stop_session
from controlplane.api.authentication import REALM
from controlplane.api.fields import Part, Text
from controlplane.api.filters import refuse_unknown
from controlplane.attempts import TooManyAttempts
from controlplane.forms.sign_in import waiting_time
from controlplane.models import User
from controlplane.passwords import LONGEST_PASSWORD

LONGEST_TOKEN = 4_096


class PasswordIn(Part):
    """Who signs in."""

    username = Text(max_length=150)
    password = Text(max_length=LONGEST_PASSWORD)


class RefreshIn(Part):
    refresh_token = Text(max_length=LONGEST_TOKEN, help_text="The latest one: each is good for one use.")


class TokenIn(Part):
    token = Text(max_length=LONGEST_TOKEN, help_text="A refresh or an access token of the session.")


class NewPasswordIn(PasswordIn):
    new_password = Text(max_length=LONGEST_PASSWORD)


class TokensShown(Showing):
    access_token = serializers.CharField()
    token_type = serializers.ChoiceField(["Bearer"])
    expires_in = serializers.IntegerField(help_text="Seconds that the access token is good for.")
    refresh_token = serializers.CharField(help_text="Gives the next pair, once. Used twice, it ends the session.")
    session_id = serializers.UUIDField(help_text="As in /sessions.")
    session_expires_at = serializers.DateTimeField(help_text="From then on the password is needed again.")


class Unauthorized(APIException):
    """401 with the challenge that RFC 9110 asks for."""

    status_code = 401
    auth_header = REALM


class Locked(APIException):
    """429: too many failed attempts, whether somebody has that name or not."""

    status_code = 429
    default_code = "locked"

    def __init__(self, exc: TooManyAttempts) -> None:
        super().__init__(waiting_time(exc))
        self.wait = exc.seconds


class AuthView(APIView):
    """Asks for nothing but the body: the credential stands in it."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def fields(self, request: Request, body_class: type[Part]) -> dict[str, Any]:
        refuse_unknown(request, frozenset())
        body = body_class(data=request.data)
        body.is_valid(raise_exception=True)
        return dict(body.validated_data)


@extend_schema(tags=["auth"])
class Token(AuthView):
    """Signing in."""

    @extend_schema(request=PasswordIn, responses={200: TokensShown}, operation_id="auth_token", auth=[])
    def post(self, request: Request) -> Response:
        """Sign in with a password. After some failures both the name and the address have to wait: 429."""
        fields = self.fields(request, PasswordIn)
        user = _by_password(request, fields)
        if user.must_change_password:
            raise PermissionDenied(
                _("Replace the one-time password first: in the console, or at /api/v1/auth/password."),
                code="one_time_password",
            )
        return _shown(start_api_session(user, actor=_as(user, request)))


@extend_schema(tags=["auth"])
class Refresh(AuthView):
    """The next pair."""

    @extend_schema(request=RefreshIn, responses={200: TokensShown}, operation_id="auth_refresh", auth=[])
    def post(self, request: Request) -> Response:
        """Exchange the refresh token for the next pair. Sent a second time, it ends the session: somebody stole it."""
        fields = self.fields(request, RefreshIn)
        try:
            return _shown(refresh_session(fields["refresh_token"], actor=_anonymous(request)))
        except BadRefreshToken as exc:
            raise Unauthorized(exc.message, code=exc.code) from exc


@extend_schema(tags=["auth"])
class Revoke(AuthView):
    """Signing out (RFC 7009)."""

    @extend_schema(request=TokenIn, responses={204: None}, operation_id="auth_revoke", auth=[])
    def post(self, request: Request) -> Response:
        """End the session that the token belongs to, at once. A token that nobody knows is as good as revoked."""
        stop_session(self.fields(request, TokenIn)["token"], actor=_anonymous(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


@extend_schema(tags=["auth"])
class Password(AuthView):
    """One's own password."""

    @extend_schema(request=NewPasswordIn, responses={204: None}, operation_id="auth_password", auth=[])
    def post(self, request: Request) -> Response:
        """Replace one's own password, a one-time one too. All one's sessions end."""
        fields = self.fields(request, NewPasswordIn)
        user = _by_password(request, fields)
        change_password(user, password=fields["new_password"], field="new_password", actor=_as(user, request))
        return Response(status=status.HTTP_204_NO_CONTENT)


def _by_password(request: Request, fields: dict[str, Any]) -> User:
    """Who has this name and password. Raises `Locked`, or `Unauthorized` without saying which of both is wrong."""
    plain = request._request  # noqa: SLF001 - Django's own is what its backends take
    try:
        user = authenticate(plain, username=fields["username"], password=fields["password"])
    except TooManyAttempts as exc:
        raise Locked(exc) from exc
    if not isinstance(user, User):
        raise Unauthorized(_("The user name or the password is wrong."), code="bad_credentials")
    return user


def _as(user: User, request: Request) -> Actor:
    plain = request._request  # noqa: SLF001
    plain.user = user
    return actors.from_request(plain, source="api", auth_method="password")


def _anonymous(request: Request) -> Actor:
    return actors.from_request(request._request, source="api")  # noqa: SLF001


def _shown(pair: TokenPair) -> Response:
    shown = {
        "access_token": pair.access, "token_type": "Bearer", "expires_in": ceil(LIFETIME.total_seconds()),
        "refresh_token": pair.refresh, "session_id": pair.session.pk, "session_expires_at": pair.session.expires_at,
    }  # fmt: skip
    return Response(TokensShown(shown).data, headers={"Cache-Control": "no-store"})
