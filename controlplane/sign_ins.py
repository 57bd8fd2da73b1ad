"""Signing in and out, written to the register whichever door was used: the console's page or the management API."""

from typing import Any, Literal

from django.contrib.auth import signals
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest

from audit.operations import Operation
from audit.record import Actor, Target, record
from controlplane import actors
from controlplane.actions.base import target_of
from controlplane.models import User

Source = Literal["ui", "api"]


def watch() -> None:
    """Listen from now on. Django's authentication sends these itself; they are no signals of the ORM."""
    signals.user_logged_in.connect(_signed_in, dispatch_uid="signalbox.signed_in")
    signals.user_login_failed.connect(_sign_in_failed, dispatch_uid="signalbox.sign_in_failed")
    signals.user_logged_out.connect(_signed_out, dispatch_uid="signalbox.signed_out")


def _signed_in(request: HttpRequest, user: User, **_kwargs: Any) -> None:
    actor = _actor(request, user, "password")
    record(Operation.USER_SIGNED_IN, actor=actor, target=target_of(user), kind="security")


def _signed_out(request: HttpRequest, user: User | None, **_kwargs: Any) -> None:
    if user is not None:
        record(Operation.USER_SIGNED_OUT, actor=_actor(request, user), target=target_of(user), kind="security")


def _sign_in_failed(credentials: dict[str, Any], request: HttpRequest | None = None, **_kwargs: Any) -> None:
    """A name that nobody has is not copied: people type their password into that field."""
    if request is None:
        return
    user = User.objects.filter(username=str(credentials.get("username", ""))[:150].replace("\x00", "")).first()
    record(
        Operation.USER_SIGN_IN_FAILED,
        actor=_actor(request, None),
        target=target_of(user) if user else Target(type="user", id="", name="unknown"),
        kind="security",
        status="refused",
    )


def _actor(request: HttpRequest, user: User | None, auth_method: str = "session") -> Actor:
    """The actor, also for a request that has come here without passing the middleware that adds `user`."""
    if not hasattr(request, "user"):
        request.user = user or AnonymousUser()
    source: Source = "api" if request.path.startswith("/api/") else "ui"
    return actors.from_request(request, source=source, auth_method=auth_method)
