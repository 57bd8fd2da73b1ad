"""What a change is done for goes with it into the register, whichever way it comes."""

from typing import Any

import pytest
from django.db import connection

from audit.exporting import rows_behind, wall
from audit.finding import Selection
from audit.models import Event
from controlplane.models import Project
from tests import factories
from tests.api.conftest import Client
from tests.commands.run import run
from tests.console.conftest import alice_console  # noqa: F401 - the fixture
from tests.console.pages import errors, text, url

pytestmark = pytest.mark.django_db
NUMBER = "CHG-2026-0042"


def newest() -> Event:
    return Event.objects.order_by("at", "writer_seq").last()  # type: ignore[return-value]


def test_header_of_the_api(alice_api: Client) -> None:
    assert alice_api.post("/projects", {"name": "p"}, headers={"X-Signalbox-Ticket": NUMBER}).status_code == 201
    assert (newest().operation, newest().ticket) == ("project.created", NUMBER)
    utf8 = "变更 7".encode().decode("latin-1")
    alice_api.post("/projects", {"name": "q"}, headers={"X-Signalbox-Ticket": utf8})
    assert newest().ticket == "变更 7"


@pytest.mark.parametrize("sent", ["x" * 101, "a\x07b", "a\u00e2\u0080\u00aeb"])
def test_unusable_header_is_refused(alice_api: Client, sent: str) -> None:
    answer = alice_api.post("/projects", {"name": "p"}, headers={"X-Signalbox-Ticket": sent})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "X-Signalbox-Ticket")
    assert not Project.objects.filter(name="p").exists()


def test_field_of_the_console(alice_console: Any) -> None:  # noqa: F811
    alice_console.post(url("controlplane_project_add"), {"name": "p", "ticket": NUMBER})
    assert newest().ticket == NUMBER
    assert NUMBER in text(alice_console.get(url("audit_event_change", newest().pk)))
    for sent in ("x" * 101, "a\u202eb"):
        assert "ticket" in errors(alice_console.post(url("controlplane_project_add"), {"name": "q", "ticket": sent}))


def test_option_of_commands() -> None:
    name = factories.ProjectFactory().name
    assert run("create_key", "--project", name, "--ticket", NUMBER).status == 0
    assert newest().ticket == NUMBER
    assert run("create_key", "--project", name, "--ticket", "x" * 101).status != 0


def test_part_of_it_is_found(alice_api: Client, alice_console: Any) -> None:  # noqa: F811
    alice_api.post("/projects", {"name": "p"}, headers={"X-Signalbox-Ticket": NUMBER})
    (found,) = alice_api.get("/audit/events?search=2026-0042").json()["results"]
    assert (found["operation"], found["ticket"]) == ("project.created", NUMBER)
    shown = alice_console.get(url("audit_event_changelist"), {"q": "2026-0042"}).context["cl"].result_list
    assert [it.ticket for it in shown] == [NUMBER]
    with wall(""):
        (row,) = rows_behind(Selection(text="2026-0042"), None)
    assert NUMBER.encode() in row


def test_index_finds_it() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'audit_event_words'")
        assert "ticket" in cursor.fetchone()[0]
