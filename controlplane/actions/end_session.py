from django.db import transaction
from django.utils import timezone

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import require_reason, target_of
from controlplane.actions.end_playground_keys import end_playground_keys
from controlplane.models import User, UserSession
from controlplane.models.identity import UserSessionQuerySet
from controlplane.permissions import Permission, require


@transaction.atomic
def end_session(session: UserSession, *, actor: Actor, reason: str = "") -> UserSession:
    """End one session; its next request is refused. One's own needs neither a right nor a reason."""
    _end(session.user, UserSession.objects.filter(pk=session.pk), actor, reason)
    return UserSession.objects.select_related("user").get(pk=session.pk)


@transaction.atomic
def end_sessions(user: User, *, keep: UserSession | None = None, actor: Actor, reason: str = "") -> int:
    """End all sessions of a person, but for `keep`; answers how many there were."""
    return _end(user, _others(user, keep), actor, reason)


def end_all(user: User, why: UserSession.End, *, keep: UserSession | None = None, actor: Actor) -> int:
    """What other actions share: they have asked for the permission, and tell the register how many it were."""
    ended = _others(user, keep).end(why, timezone.now())
    end_playground_keys(user, actor=actor)
    return ended


def _others(user: User, keep: UserSession | None) -> UserSessionQuerySet:
    live = UserSession.objects.live().filter(user=user)
    return live.exclude(pk=keep.pk) if keep else live


def _end(user: User, sessions: UserSessionQuerySet, actor: Actor, reason: str) -> int:
    if actor.type != "user" or actor.id != str(user.pk):
        require(actor, Permission.USER_CHANGE)
        require_reason(reason)
    ids = sorted(str(pk) for pk in sessions.filter(ended_at=None).values_list("pk", flat=True))
    ended = UserSession.objects.filter(pk__in=ids).end(UserSession.End.REVOKED, timezone.now())
    if ended:
        end_playground_keys(user, actor=actor)
        record(
            Operation.SESSION_ENDED, actor=actor, target=target_of(user), reason=reason, kind="security",
            detail={"sessions": ids},
        )  # fmt: skip
    return ended
