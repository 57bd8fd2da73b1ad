"""The view for auditors' SQL tools, asked by a real role of the database: its projects' rows and no others."""

import os
import secrets
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.utils import timezone
from psycopg.rows import dict_row

from audit.models import Event
from config.embedded import SUPERUSER
from controlplane.actions.admit_sql_reader import admit_sql_reader
from controlplane.actions.erase_bodies import erase_bodies
from controlplane.actions.release_bodies import release_bodies
from controlplane.errors import Conflict, Invalid
from controlplane.models import BodyKey, Project, ReleasedText
from tests import factories, kept
from tests.commands.run import run
from tests.conftest import as_actor

committed = pytest.mark.django_db(transaction=True, databases=["default", "owner"])


@pytest.fixture
def role(transactional_db: None) -> Iterator[str]:
    """A role that may log in and nothing else."""
    name = f"auditor_{secrets.token_hex(4)}"
    with connected(SUPERUSER) as server:
        server.execute(f"CREATE ROLE {name} LOGIN")
    yield name
    with connected(SUPERUSER) as server:
        server.execute(f"DROP OWNED BY {name}")
        server.execute(f"DROP ROLE {name}")


def connected(role: str) -> psycopg.Connection[Any]:
    """A connection of that role's own to the test's database."""
    parts = psycopg.conninfo.conninfo_to_dict(os.environ["DATABASE_OWNER_URL"])
    name = connection.settings_dict["NAME"]
    return psycopg.connect(host=str(parts["host"]), dbname=name, user=role, row_factory=dict_row)


def seen(role: str, question: str = "SELECT * FROM ai_audit_log") -> list[dict[str, Any]]:
    with connected(role) as ours:
        return ours.execute(question).fetchall()  # type: ignore[arg-type]


@committed
def test_reader_sees_the_rows_of_the_project_and_no_others(role: str) -> None:
    alpha, beta = factories.ProjectFactory(name="alpha"), factories.ProjectFactory(name="beta")
    mine, other = kept.event("alpha"), kept.event("beta")
    assert run("sql_reader", role, "--project", alpha.name, "--reason", "audit 2026").status == 0
    assert chats(role) == [mine.pk]
    peeping = f"SELECT id FROM ai_audit_log WHERE 1 / (CASE WHEN id = '{other.pk}' THEN 0 ELSE 1 END) = 1"
    assert other.pk not in {row["id"] for row in seen(role, peeping)}  # it would fail if it were asked of the other row
    run("sql_reader", role, "--project", beta.name)
    assert set(chats(role)) == {mine.pk, other.pk}
    run("sql_reader", role, "--project", "alpha", "--remove", "--reason", "over")
    assert chats(role) == [other.pk]


def chats(role: str) -> list[Any]:
    return [row["id"] for row in seen(role) if row["operation_type"] == "inference.chat"]


@committed
def test_reader_of_all_sees_the_platforms_own_rows(role: str) -> None:
    run("sql_reader", role)
    assert {row["operation_type"] for row in seen(role)} == {"sql_reader.admitted"}
    assert list(seen(role)[0]) == [
        "id", "user_id", "operation_type", "model_version", "input_data", "output_data", "start_time", "end_time",
        "ip_address",
    ]  # fmt: skip


@committed
@pytest.mark.parametrize("table", ["audit_event", "audit_event_rows", "audit_body", "controlplane_releasedtext"])
def test_reader_reaches_nothing_but_the_view(role: str, table: str) -> None:
    run("sql_reader", role)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        seen(role, f"SELECT * FROM {table}")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        seen(role, "DELETE FROM ai_audit_log")


@committed
def test_released_texts_are_shown_till_their_time_is_over(role: str) -> None:
    alice = as_actor(factories.UserFactory(username="root", is_superuser=True))
    pair = factories.BodyKeyFactory(person="dora", project=factories.ProjectFactory(register_mode="masked"))
    event = kept.request_of(pair, "masked")
    run("sql_reader", role, "--project", pair.project.name)
    shown = {row["id"]: row for row in seen(role)}
    assert shown[event.pk]["input_data"] is None
    day = timedelta(days=1)
    count = release_bodies(
        pair.project, since=event.at - day, until=event.at + day, days=7, now=timezone.now(), actor=alice, reason="r"
    )
    assert count == 2
    shown = {row["id"]: row for row in seen(role)}
    assert (shown[event.pk]["input_data"], shown[event.pk]["output_data"]) == (kept.QUESTION, kept.ANSWER)
    ReleasedText.objects.update(until=timezone.now())
    assert {row["id"]: row for row in seen(role)}[event.pk]["input_data"] is None


def release(project: Project, actor: Any, **fields: Any) -> int:
    day, now = timedelta(days=1), timezone.now()
    times = {"since": now - day, "until": now + day, "days": 7, "now": now, "reason": "r"}
    return release_bodies(project, actor=actor, **(times | fields))


@pytest.mark.django_db
class TestReleasing:
    def test_whole_bodies_are_never_released(self, alice: Any) -> None:
        pair = factories.BodyKeyFactory()
        kept.request_of(pair, "full")
        assert release(pair.project, alice) == 0

    def test_sensitive_ones_neither(self, alice: Any) -> None:
        pair = factories.BodyKeyFactory()
        kept.request_of(pair, "masked", data_domain="sensitive")
        assert release(pair.project, alice) == 0

    def test_again_prolongs(self, alice: Any) -> None:
        pair = factories.BodyKeyFactory()
        kept.request_of(pair, "masked")
        assert (release(pair.project, alice), release(pair.project, alice, days=9)) == (2, 2)
        assert ReleasedText.objects.filter(until__gt=timezone.now() + timedelta(days=8)).count() == 2

    def test_release_is_an_event(self, alice: Any) -> None:
        pair: BodyKey = factories.BodyKeyFactory()
        release(pair.project, alice, reason="audit 2026")
        event = Event.objects.get(operation="body.released")
        assert (event.reason, event.project, event.actor_name) == ("audit 2026", pair.project.name, "alice")

    def test_erased_persons_texts_go_too(self, alice: Any) -> None:
        pair = factories.BodyKeyFactory(person="dora")
        kept.request_of(pair, "masked")
        release(pair.project, alice)
        erase_bodies(pair.project, person="dora", actor=alice, reason="asked")
        assert not ReleasedText.objects.exists()
        assert release(pair.project, alice) == 0

    @pytest.mark.parametrize("days", [0, 91])
    def test_not_for_ever(self, alice: Any, days: int) -> None:
        with pytest.raises(Invalid):
            release(factories.ProjectFactory(), alice, days=days)


@pytest.mark.django_db
def test_mighty_or_unknown_roles_are_no_readers(alice: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolname FROM pg_roles WHERE rolsuper UNION SELECT current_user")
        mighty = [name for (name,) in cursor.fetchall()]
    for name in (*mighty, "nobody_of_that_name"):
        with pytest.raises(Invalid):
            admit_sql_reader(name, actor=alice)


@pytest.mark.django_db
def test_reader_is_admitted_once(alice: Any) -> None:
    admit_sql_reader("pg_monitor", actor=alice)
    with pytest.raises(Conflict):
        admit_sql_reader("pg_monitor", actor=alice)
