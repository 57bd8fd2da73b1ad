"""From a request, a command or a task to the `Actor` that the register names."""

import getpass
import re
import secrets
from ipaddress import ip_address
from typing import Literal

from django.http import HttpRequest

from audit.record import Actor
from controlplane.models import ServiceAccount, User
from inference.contract import keys

SYSTEM = Actor(type="system", id="signalbox", name="Signalbox", source="worker")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,128}\Z", re.ASCII)
_LONGEST_CLIENT = 120


def command_line(ticket: str = "") -> Actor:
    """Whoever runs ``manage.py`` on the host: trusted as the system, named by their account there."""
    return Actor(
        type="system", id="cli", name=getpass.getuser(), source="cli", request_id=secrets.token_hex(16), ticket=ticket
    )


def from_request(
    request: HttpRequest, *, source: Literal["ui", "api"], auth_method: str = "session", ticket: str = ""
) -> Actor:
    """The person or machine behind a request, with where they came from. Anonymous when nobody is signed in."""
    user = request.user
    kind = _kind(user)
    known = kind != "anonymous"
    return Actor(
        type=kind,
        id=str(user.pk) if known else "",
        name=user.get_username(),
        source=source,
        auth_method=auth_method if known else "",
        ip=address_of(request),
        client=request.headers.get("User-Agent", "")[:_LONGEST_CLIENT],
        request_id=request_id(request),
        ticket=ticket,
    )


def address_of(request: HttpRequest) -> str | None:
    """Where a request came from; None for what is no address, as on a Unix socket."""
    try:
        return str(ip_address(request.META.get("REMOTE_ADDR", ""))).partition("%")[0]
    except ValueError:
        return None


def _kind(user: object) -> Literal["user", "service_account", "anonymous"]:
    if isinstance(user, User):
        return "user"
    return "service_account" if isinstance(user, ServiceAccount) else "anonymous"


def request_id(request: HttpRequest) -> str:
    """The request's id: a valid ``X-Request-ID`` of the client, else a new one; the same one each time it is asked."""
    known: str | None = getattr(request, "signalbox_request_id", None)
    if known is None:
        sent = request.headers.get("X-Request-ID", "")
        known = sent if _REQUEST_ID.match(sent) and not keys.stands_in(sent) else secrets.token_hex(16)
        request.signalbox_request_id = known  # type: ignore[attr-defined]
    return known
