"""Signing in and out at the console: a session begins and ends, and the register hears of it.

The management API signs people in through `actions.start_session`; failures and locks of both doors are written here.
"""

from collections.abc import Sequence
from typing import Any, Literal

from django.contrib.auth import signals
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils import timezone

from audit.operations import Operation
from audit.record import Actor, Target, record
from controlplane import actors
from controlplane.actions.base import target_of
from controlplane.actions.end_playground_keys import end_playground_keys
from controlplane.models import User, UserSession
from controlplane.sessions import USER_SESSION

Source = Literal["ui", "api"]
LONGEST_DEVICE = 200


def watch() -> None:
    """Listen from now on. Django's authentication sends these itself; they are no signals of the ORM."""
    signals.user_logged_in.connect(_signed_in, dispatch_uid="signalbox.signed_in")
    signals.user_login_failed.connect(_sign_in_failed, dispatch_uid="signalbox.sign_in_failed")
    signals.user_logged_out.connect(_signed_out, dispatch_uid="signalbox.signed_out")


def _signed_in(request: HttpRequest, user: User, **_kwargs: Any) -> None:
    """The browser's session hangs on one that people see and end. One that it had before ends."""
    now = timezone.now()
    if earlier := request.session.get(USER_SESSION):
        UserSession.objects.filter(pk=earlier).end(UserSession.End.SIGNED_OUT, now)
    session = UserSession.objects.create(
        user=user, kind=UserSession.Kind.CONSOLE, address=actors.address_of(request),
        device=request.headers.get("User-Agent", "")[:LONGEST_DEVICE], last_seen_at=now,
        expires_at=request.session.get_expiry_date(),
    )  # fmt: skip
    request.session[USER_SESSION] = str(session.pk)
    record(
        Operation.USER_SIGNED_IN, actor=_actor(request, user, "password"), target=target_of(user), kind="security",
        detail={"session": str(session.pk)},
    )  # fmt: skip


def _signed_out(request: HttpRequest, user: User | None, **_kwargs: Any) -> None:
    """Django throws the session away next, which ends it (`sessions.SessionStore.flush`)."""
    if user is not None:
        actor = _actor(request, user)
        end_playground_keys(user, actor=actor)
        record(Operation.USER_SIGNED_OUT, actor=actor, target=target_of(user), kind="security")


def _sign_in_failed(credentials: dict[str, Any], request: HttpRequest | None = None, **_kwargs: Any) -> None:
    if request is not None:
        record(
            Operation.USER_SIGN_IN_FAILED, actor=_actor(request, None), kind="security", status="refused",
            target=_tried(str(credentials.get("username", ""))),
        )  # fmt: skip


def tell_lock_out(request: HttpRequest | None, username: str, locked: Sequence[str]) -> None:
    """Too many attempts: `locked` says whether the account, the address, or both."""
    if request is not None:
        record(
            Operation.USER_LOCKED_OUT, actor=_actor(request, None), target=_tried(username), kind="security",
            status="refused", detail={"locked": list(locked)},
        )  # fmt: skip


def _tried(username: str) -> Target:
    """A name that nobody has is not copied: people type their password into that field."""
    user = User.objects.filter(username=username[:150].replace("\x00", "")).first()
    return target_of(user) if user else Target(type="user", id="", name="unknown")


def _actor(request: HttpRequest, user: User | None, auth_method: str = "session") -> Actor:
    """The actor, also for a request that has come here without passing the middleware that adds `user`."""
    if not hasattr(request, "user"):
        request.user = user or AnonymousUser()
    source: Source = "api" if request.path.startswith("/api/") else "ui"
    return actors.from_request(request, source=source, auth_method=auth_method)
