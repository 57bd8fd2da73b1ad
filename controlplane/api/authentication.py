"""Who asks: the bearer of a management token, or somebody who is signed in to the console."""

from django.utils.translation import gettext_lazy as _
from rest_framework.authentication import BaseAuthentication, SessionAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from controlplane.actions.create_token import PREFIX, digest
from controlplane.models import ManagementToken, ServiceAccount, User

_LONGEST_TOKEN = 200


class ManagementTokenAuthentication(BaseAuthentication):
    """``Authorization: Bearer sbm_…``. Another scheme is somebody else's; a bad token is 401, whatever else is sent."""

    auth_method = "token"

    def authenticate(self, request: Request) -> tuple[User | ServiceAccount, ManagementToken] | None:
        scheme, _space, token = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return None
        row = _find(token.strip())
        if row is None:
            raise AuthenticationFailed(_("The token is unknown, expired or revoked."), code="bad_token")
        return row.owner, row

    def authenticate_header(self, request: Request) -> str:
        del request
        return 'Bearer realm="signalbox"'


def _find(token: str) -> ManagementToken | None:
    if not token.startswith(PREFIX) or len(token) > _LONGEST_TOKEN or not token.isascii():
        return None  # costs no look-up
    return (
        ManagementToken.objects.usable().filter(digest=digest(token)).select_related("user", "service_account").first()
    )


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
