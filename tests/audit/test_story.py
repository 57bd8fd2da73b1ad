"""One request's whole story: asked, limits, routing, replica, outcome."""

from datetime import timedelta

import pytest

from audit.models import Event
from audit.story import Stage, of_request, tell
from tests.api.conftest import alice_api  # noqa: F401 - the fixture
from tests.console.conftest import alice_console  # noqa: F401 - the fixture
from tests.console.pages import text, url
from tests.console.register import NOON, write

pytestmark = pytest.mark.django_db
DETAIL = {"attempts": 2, "limits": {"key": "60 rpm"}, "routing": "weighted", "deployment": "d", "rule": "long"}


def outcome(**fields):
    times = {"started_at": NOON, "ended_at": NOON + timedelta(seconds=2)}
    return write(request_id="req-1", detail=DETAIL, replica="d-0", status_code=200, **times | fields)


def stages(request_id="req-1"):
    return [step.stage for step in tell(of_request(Event.objects.all(), request_id))]


WHOLE = [Stage.INTENT, Stage.LIMITS, Stage.ROUTING, Stage.REPLICA, Stage.OUTCOME]


def test_stream_has_two_entries_and_one_story():
    intent = write(kind="intent", request_id="req-1", status="accepted", started_at=NOON)
    outcome(parent_id=intent.id)
    assert stages() == WHOLE


def test_answer_at_once_has_one_entry_and_the_same_story():
    outcome()
    assert stages() == WHOLE


def test_steps_say_what_was_decided():
    outcome()
    steps = {step.stage: step.facts for step in tell(of_request(Event.objects.all(), "req-1"))}
    assert steps[Stage.LIMITS] == {"applied": {"key": "60 rpm"}}
    assert steps[Stage.ROUTING] == {"reason": "weighted", "rule": "long", "deployment": "d"}
    assert steps[Stage.REPLICA] == {"replica": "d-0", "attempts": 2}
    assert steps[Stage.OUTCOME]["milliseconds"] == 2000


def test_who_was_turned_away_has_no_replica():
    write(request_id="req-1", kind="security", status="rate_limited", status_code=429)
    assert stages() == [Stage.INTENT, Stage.OUTCOME]


def test_change_of_the_control_plane_is_a_step():
    write(request_id="req-1", kind="management", source="ui", operation="deployment.scaled")
    assert stages() == [Stage.CHANGE]


def test_page_tells_it(alice_console):  # noqa: F811
    page = text(alice_console.get(url("audit_event_story", outcome().id)))
    for part in ("Asked", "Limits", "Routing", "Replica", "Outcome", "weighted", "d-0"):
        assert part in page


def test_api_tells_it(alice_api):  # noqa: F811
    outcome()
    answer = alice_api.get("/audit/requests/req-1").json()
    assert [step["stage"] for step in answer["steps"]] == WHOLE
    assert [event["replica"] for event in answer["events"]] == ["d-0"]


def test_unknown_request_is_not_there(alice_api):  # noqa: F811
    assert alice_api.get("/audit/requests/none").status_code == 404
