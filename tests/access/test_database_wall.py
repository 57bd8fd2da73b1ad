"""The second wall, asked of PostgreSQL itself as the processes' role: nothing told, nothing seen."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connection, transaction

from audit.models import Event
from audit.operations import Operation
from audit.record import Actor, Target, record
from controlplane.access import scope
from controlplane.access.scope import EVERYTHING, NOTHING, Scope, scope_of
from controlplane.models import ApiKey, Project
from controlplane.roles import Grant, Role, Standing
from inference.contract.events import COPY_STATEMENT, ROWS, TABLE, pack_copy, pack_row
from inference.contract.events import Event as Row
from inference.contract.ids import uuid7
from tests.factories import ApiKeyFactory, ProjectFactory

pytestmark = pytest.mark.django_db
SYSTEM = Actor(type="system", id="t", name="t", source="cli")


@pytest.fixture
def a() -> Project:
    return ProjectFactory.create(name="a")


@pytest.fixture
def b() -> Project:
    return ProjectFactory.create(name="b")


@pytest.fixture
def keys(a: Project, b: Project) -> dict[str, ApiKey]:
    return {project.name: ApiKeyFactory.create(project=project, name=project.name) for project in (a, b)}


@pytest.fixture
def entries() -> None:
    for project in ("a", "b", ""):
        record(Operation.PROJECT_CHANGED, actor=SYSTEM, target=Target("project", "1", "x"), project=project)


def seen_keys(told: Scope) -> set[str]:
    with transaction.atomic(), scope._telling(told):
        return set(ApiKey.objects.values_list("name", flat=True))


def seen_events(told: Scope) -> set[str]:
    with transaction.atomic(), scope._telling(told):
        return set(Event.objects.values_list("project", flat=True))


def test_tests_run_as_the_processes_do() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
        assert cursor.fetchone() == (False, False)


def test_keys_of_nothing_one_both(keys: dict[str, ApiKey], a: Project, b: Project) -> None:
    assert seen_keys(NOTHING) == set()
    assert seen_keys(Scope(keys=str(a.pk))) == {"a"}
    assert seen_keys(Scope(keys=f"{a.pk},{b.pk}")) == {"a", "b"}
    assert seen_keys(EVERYTHING) == {"a", "b"}


@pytest.mark.usefixtures("entries")
def test_events_of_nothing_one_all() -> None:
    assert seen_events(NOTHING) == set()
    assert seen_events(Scope(events="a")) == {"a"}
    assert seen_events(Scope(events="a,b")) == {"a", "b"}
    assert seen_events(EVERYTHING) == {"a", "b", ""}


def test_new_connection_sees_nothing(keys: dict[str, ApiKey]) -> None:
    """As a request's does before anybody is known: the setting does not even exist."""
    with connection.cursor() as cursor:
        parameters = cursor.connection.info.get_parameters()
    with psycopg.connect(**parameters) as fresh:
        assert fresh.execute("SELECT current_setting('signalbox.keys_of', true)").fetchone() == (None,)
        assert fresh.execute("SELECT count(*) FROM controlplane_apikey").fetchone() == (0,)
        assert fresh.execute("SELECT count(*) FROM audit_event").fetchone() == (0,)


def test_key_of_another_project_cannot_be_made_moved_or_ended(keys: dict[str, ApiKey], a: Project, b: Project) -> None:
    with transaction.atomic(), scope._telling(Scope(keys=str(a.pk))):
        assert not ApiKey.objects.filter(pk=keys["b"].pk).update(name="mine")
        assert ApiKey.objects.filter(pk=keys["b"].pk).delete()[0] == 0
        for attempt in (
            lambda: ApiKeyFactory.create(project=b),
            lambda: ApiKey.objects.filter(pk=keys["a"].pk).update(project=b),
        ):
            with pytest.raises(DatabaseError, match="row-level security"), transaction.atomic():
                attempt()


@pytest.mark.usefixtures("entries")
@pytest.mark.parametrize(
    "attempt",
    [
        f"SELECT 1 FROM {ROWS}",
        f"SELECT 1 FROM {TABLE}_default",
        f"UPDATE {TABLE} SET project = ''",
        f"DELETE FROM {TABLE}",
        f"DELETE FROM {ROWS}",
        f"TRUNCATE {TABLE}",
        f"DROP TABLE {TABLE}",
        f"ALTER TABLE {TABLE} DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE controlplane_apikey DISABLE ROW LEVEL SECURITY",
        "DELETE FROM django_migrations",
    ],
)
def test_processes_only_append_to_the_register(attempt: str) -> None:
    with pytest.raises(DatabaseError, match="permission denied|must be owner"), transaction.atomic():
        connection.cursor().execute(attempt)


def packed(at: datetime) -> bytes:
    return pack_row(Row(id=uuid7(), kind="intent", operation="inference.chat", actor_type="api_key", at=at))


def test_gateway_copies_over_the_turn_of_a_month_in_one_go() -> None:
    """Nobody knows where a month ends, not even where no partition is made ahead."""
    turn = datetime(2026, 12, 1, tzinfo=UTC)
    moments = [turn - timedelta(microseconds=1), turn, datetime(2049, 1, 1, tzinfo=UTC)]
    with connection.cursor() as cursor, cursor.copy(COPY_STATEMENT) as copy:
        copy.write(pack_copy(map(packed, moments)))
    assert list(Event.objects.order_by("at").values_list("at", flat=True)) == moments


def test_copy_past_the_wall_is_refused() -> None:
    statement = COPY_STATEMENT.replace(ROWS, TABLE)
    refused = pytest.raises(psycopg.errors.FeatureNotSupported, match="row-level security")
    with refused, transaction.atomic(), connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(pack_copy([packed(datetime.now(UTC))]))


def plan(query: str, *parameters: Any) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN (COSTS OFF) {query}", parameters)
        return "\n".join(row[0] for row in cursor.fetchall())


def test_months_are_still_left_out() -> None:
    now = datetime.now(UTC)
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    with transaction.atomic(), scope._telling(Scope(events="a")):
        found = plan(f"SELECT * FROM {TABLE} WHERE at >= %s AND at < %s ORDER BY at DESC", first, now)
    assert f"{TABLE}_{now:%Y_%m}" in found
    assert f"{TABLE}_default" not in found


def test_project_index_still_serves_a_reader_of_one_project() -> None:
    with transaction.atomic(), scope._telling(Scope(events="a")):
        found = plan(f"SELECT * FROM {TABLE} WHERE project = 'a' ORDER BY at DESC, id DESC LIMIT 51")
    assert "project_at_idx" in found or "Index Cond: ((project = 'a'" in found


def test_scope_is_what_may_be_read(a: Project) -> None:
    of_a = {role: scope_of(Standing("user", grants=frozenset({Grant(role, a.pk, a.name)}))) for role in Role}
    assert of_a[Role.OWNER] == of_a[Role.OPERATOR] == Scope(str(a.pk), "a")
    assert of_a[Role.AUDITOR] == Scope("", "a")
    assert of_a[Role.VIEWER] == of_a[Role.DEVELOPER] == Scope(str(a.pk), "")
    assert scope_of(Standing("user", superuser=True)) == EVERYTHING
    assert scope_of(Standing("anonymous")) == NOTHING


def told() -> Scope:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('signalbox.keys_of', true), current_setting('signalbox.events_of', true)"
        )
        return Scope(*(value or "" for value in cursor.fetchone()))


def test_what_was_told_is_taken_back(a: Project) -> None:
    assert told() == EVERYTHING
    with transaction.atomic(), scope._telling(Scope(str(a.pk))):
        assert told() == Scope(str(a.pk))
        with scope.everything():
            assert told() == EVERYTHING
        assert told() == Scope(str(a.pk))
    assert told() == EVERYTHING


def test_failure_inside_takes_it_back_too(a: Project) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic(), scope._telling(Scope(str(a.pk))):
        raise ZeroDivisionError
    assert told() == EVERYTHING


def test_register_is_appended_to_by_who_may_not_read_it(events: Callable[[], list[Event]]) -> None:
    with transaction.atomic(), scope._telling(NOTHING):
        record(Operation.PROJECT_CHANGED, actor=SYSTEM, target=Target("project", "1", "x"), project="a")
        assert not Event.objects.exists()
    assert len(events()) == 1
