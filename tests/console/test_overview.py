from datetime import timedelta

from django.utils import timezone

from controlplane.models import DeploymentStatus
from tests.factories import ApiKeyFactory, DeploymentFactory, RouteFactory

from .pages import text, url
from .register import write


def _live(console):
    return text(console.get(url("overview_live")))


def test_empty_installation_says_what_to_do_next(alice_console):
    assert alice_console.get(url("index")).context["steps"] == ["model", "deployment", "route", "key"]


def test_nothing_is_asked_once_all_is_there(alice_console):
    DeploymentFactory(), RouteFactory(), ApiKeyFactory()
    assert 'data-testid="next-steps"' not in text(alice_console.get(url("index")))


def test_deployments_stand_with_state_and_replicas(alice_console):
    DeploymentFactory(name="qwen", replicas=3)
    DeploymentStatus.objects.update(state="degraded", ready_replicas=2, message="1 of 3 is not ready")
    page = _live(alice_console)
    for shown in ('data-state="degraded"', "2 / 3", "1 of 3 is not ready"):
        assert shown in page


def test_last_hour_is_counted(alice_console):
    now = timezone.now()
    for status, age in (("ok", 1), ("ok", 2), ("client_closed", 3), ("upstream_broke", 4), ("ok", 90)):
        write(status=status, at=now - timedelta(minutes=age), prompt_tokens=1000, completion_tokens=7)
    write(kind="intent", at=now)
    hour = alice_console.get(url("overview_live")).context["hour"]
    assert (hour["requests"], hour["error_percent"], hour["prompt_tokens"], hour["completion_tokens"]) == (
        4,
        25.0,
        4000,
        28,
    )


def test_hour_is_counted_once_in_a_while(alice_console, django_assert_max_num_queries):
    _live(alice_console)
    with django_assert_max_num_queries(10):
        _live(alice_console)


def test_last_events_tell_what_people_did(alice_console):
    write(kind="management", operation="route.created", actor_name="carol", at=timezone.now())
    page = _live(alice_console)
    assert "carol" in page
    assert "route.created" in page


def test_onlooker_sees_no_register(vera_console):
    DeploymentFactory(name="qwen")
    write(kind="management", operation="route.created", actor_name="carol", at=timezone.now())
    page = _live(vera_console)
    assert "qwen" in page
    assert "carol" not in page
    assert 'data-testid="last-hour"' not in page


def test_snippets_name_the_gateway_and_a_route(alice_console, settings):
    settings.GATEWAY_URL = "http://gateway.test:8080"
    RouteFactory(name="qwen3")
    page = text(alice_console.get(url("index")))
    assert "http://gateway.test:8080/v1/chat/completions" in page
    assert "qwen3" in page
