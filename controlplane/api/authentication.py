"""Who asks: the bearer of a management token or of an access token, or somebody who is signed in to the console.

A database that does not answer is never taken for a bad credential: its error goes through and becomes 503.
"""

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework.authentication import BaseAuthentication, SessionAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from controlplane import access_tokens, actors, last_seen, tokens
from controlplane.models import ManagementToken, ServiceAccount, User, UserSession

REALM = 'Bearer realm="signalbox"'


class BearerAuthentication(BaseAuthentication):
    """``Authorization: Bearer …``. Another scheme is somebody else's; a bad token is 401, whatever else is sent."""

    auth_method = "token"
    """or ``jwt``: each request has an authenticator of its own"""

    def authenticate(self, request: Request) -> tuple[User | ServiceAccount, ManagementToken | UserSession] | None:
        scheme, _space, credential = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return None
        credential = credential.strip()
        if token := _management_token(credential):
            return token.owner, token
        if session := _session(credential, request):
            self.auth_method = "jwt"
            return session.user, session
        raise AuthenticationFailed(_("The token is unknown, expired or revoked."), code="bad_token")

    def authenticate_header(self, request: Request) -> str:
        del request
        return REALM


def _management_token(credential: str) -> ManagementToken | None:
    if not tokens.is_management_token(credential):
        return None  # costs no look-up
    usable = ManagementToken.objects.usable().filter(digest=tokens.digest(credential))
    token = usable.select_related("user", "service_account").first()
    if token is not None:
        last_seen.of_token(token, timezone.now())
    return token


def _session(credential: str, request: Request) -> UserSession | None:
    """The live session that an access token names: one look-up, so that ending it ends the token with it."""
    try:
        claims = access_tokens.signer().verify(credential)
    except access_tokens.BadAccessToken:
        return None
    live = UserSession.objects.live().filter(kind=UserSession.Kind.API, user__is_active=True)
    session = live.select_related("user").filter(pk=claims.session_id, user=claims.user_id).first()
    if session is not None:
        last_seen.of_session(session, actors.address_of(request), timezone.now())
    return session


class ConsoleSessionAuthentication(SessionAuthentication):
    """The console's session, with its CSRF token. A one-time password has to be replaced first."""

    auth_method = "session"

    def authenticate(self, request: Request) -> tuple[User, None] | None:
        found: tuple[User, None] | None = super().authenticate(request)
        if found and found[0].must_change_password:
            raise PermissionDenied(_("Replace the one-time password in the console first."), code="one_time_password")
        return found

    def enforce_csrf(self, request: Request) -> None:
        try:
            super().enforce_csrf(request)
        except PermissionDenied as exc:
            raise PermissionDenied(str(exc.detail), code="csrf_failed") from exc
