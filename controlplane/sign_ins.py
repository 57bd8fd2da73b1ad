"""Signing in and out, written to the register whichever door was used: the console's page or the management API."""

from typing import Any

from django.contrib.auth import signals
from django.http import HttpRequest

from audit.operations import Operation
from audit.record import Target, record
from controlplane import actors
from controlplane.actions.base import target_of
from controlplane.models import User


def watch() -> None:
    """Listen from now on. Django's authentication sends these itself; they are no signals of the ORM."""
    signals.user_logged_in.connect(_signed_in, dispatch_uid="signalbox.signed_in")
    signals.user_login_failed.connect(_sign_in_failed, dispatch_uid="signalbox.sign_in_failed")
    signals.user_logged_out.connect(_signed_out, dispatch_uid="signalbox.signed_out")


def _signed_in(request: HttpRequest, user: User, **_kwargs: Any) -> None:
    actor = actors.from_request(request, source=_source(request), auth_method="password")
    record(Operation.USER_SIGNED_IN, actor=actor, target=target_of(user), kind="security")


def _signed_out(request: HttpRequest, user: User | None, **_kwargs: Any) -> None:
    if user is not None:
        actor = actors.from_request(request, source=_source(request))
        record(Operation.USER_SIGNED_OUT, actor=actor, target=target_of(user), kind="security")


def _sign_in_failed(credentials: dict[str, Any], request: HttpRequest | None = None, **_kwargs: Any) -> None:
    """A name that nobody has is not copied: people type their password into that field."""
    if request is None:
        return
    user = User.objects.filter(username=str(credentials.get("username", ""))[:150].replace("\x00", "")).first()
    record(
        Operation.USER_SIGN_IN_FAILED,
        actor=actors.from_request(request, source=_source(request)),
        target=target_of(user) if user else Target(type="user", id="", name="unknown"),
        kind="security",
        status="refused",
    )


def _source(request: HttpRequest) -> Any:
    return "api" if request.path.startswith("/api/") else "ui"
