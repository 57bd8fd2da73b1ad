"""The second wall: PostgreSQL itself shows keys and events of those projects only that the connection was told.

Row-level security reads two settings of the connection, a list of project ids for keys and one of project names for
events; ``*`` is all, and nothing is told means nothing is seen. A request tells what its standing reaches, in its own
transaction, so that nothing of it is left on the connection for the next. Workers, commands and publishing say that
they see all. The gateway says so itself (`inference.replay`).
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.backends.signals import connection_created
from django.http import HttpRequest

from controlplane.roles import Permission, Reach, Standing, reach
from inference.contract.events import SEEN as SEEN_EVENTS

SEEN_KEYS = "signalbox.keys_of"


class Scope(NamedTuple):
    """What the connection is told: project ids for keys, project names for events, each joined with commas."""

    keys: str = ""
    events: str = ""


NOTHING = Scope()
EVERYTHING = Scope("*", "*")


def scope_of(standing: Standing) -> Scope:
    """What somebody may read."""
    keys, events = reach(standing, Permission.API_KEY_READ), reach(standing, Permission.AUDIT_READ)
    return Scope(_joined(keys, map(str, keys.projects)), _joined(events, events.names))


def _joined(held: Reach, parts: Any) -> str:
    return "*" if held.everything else ",".join(sorted(parts))


_told: ContextVar[Scope | None] = ContextVar("signalbox_scope", default=None)
"""what the code that runs now has told its connection; None: nothing beyond what the process tells each"""


class _Process:
    sees_all = False


def see_all() -> None:
    """This process is no server of requests: whatever connection it opens sees all."""
    if not _Process.sees_all:
        _Process.sees_all = True
        connection_created.connect(_tell_new_connection, dispatch_uid="signalbox.scope")


def _tell_new_connection(connection: Any, **_kwargs: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_TELL, [SEEN_KEYS, "*", False, SEEN_EVENTS, "*", False])


def _now() -> Scope:
    return _told.get() or (EVERYTHING if _Process.sees_all else NOTHING)


@contextmanager
def everything() -> Iterator[None]:
    """Inside, all is seen: for what the system does on behalf of a request, such as publishing a key."""
    if _now() == EVERYTHING:
        yield
        return
    with transaction.atomic(), _telling(EVERYTHING):
        yield


@contextmanager
def of_request(request: HttpRequest) -> Iterator[None]:
    """Inside, `narrow` tells the database what the one who asks may see; until then it shows nothing."""
    with ExitStack() as stack:
        request.signalbox_scope = stack  # type: ignore[attr-defined]
        yield


def narrow(request: HttpRequest, standing: Standing) -> None:
    """Tell the database what the request may see; the transaction it opens ends with the request."""
    stack: ExitStack | None = getattr(request, "signalbox_scope", None)
    if stack is not None and standing.kind != "anonymous":
        stack.enter_context(transaction.atomic())
        stack.enter_context(_telling(scope_of(standing)))


_TELL = "SELECT set_config(%s, %s, %s), set_config(%s, %s, %s)"


@contextmanager
def _telling(scope: Scope) -> Iterator[None]:
    """Within a transaction. Afterwards what was told before is told again, unless the transaction ends anyway."""
    before, outermost = _now(), not connection.savepoint_ids
    _tell(scope)
    try:
        yield
    finally:
        _told.set(before)
    if not outermost and not connection.needs_rollback:
        _tell(before)


def _tell(scope: Scope) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_TELL, [SEEN_KEYS, scope.keys, True, SEEN_EVENTS, scope.events, True])
    _told.set(scope)
