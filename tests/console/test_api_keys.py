from datetime import timedelta

import pytest
from django.utils import timezone

from audit.operations import Operation
from controlplane.models import ApiKey
from inference.contract import keys
from tests.factories import ApiKeyFactory, ProjectFactory, RouteFactory

from .pages import errors, secret, shown_once, text, url


@pytest.fixture
def project(db):
    return ProjectFactory(name="default")


def _make(console, project, **fields):
    return console.post(url("controlplane_apikey_add"), {"name": "billing", "project": project.pk, **fields})


def _revoke(console, key, **fields):
    return console.post(url("controlplane_apikey_do_revoke", key.pk), fields)


def test_new_key_is_shown_once(alice_console, project):
    token = secret(_make(alice_console, project))
    parsed = keys.parse(token)
    assert parsed is not None
    key = ApiKey.objects.get()
    assert key.key_id == parsed.id
    for page in (url("controlplane_apikey_changelist"), url("controlplane_apikey_change", key.pk)):
        assert token not in text(alice_console.get(page))


def test_page_with_the_key_is_not_kept(alice_console, project):
    assert "no-store" in shown_once(_make(alice_console, project)).headers["Cache-Control"]


def test_page_has_a_curl_line_that_is_ready(alice_console, project, settings):
    settings.GATEWAY_URL = "http://gateway.test:8080"
    RouteFactory(name="qwen3")
    answer = shown_once(_make(alice_console, project))
    assert f'Authorization: Bearer {answer.context["secret"]}"' in text(answer).replace("&quot;", '"')
    assert "http://gateway.test:8080/v1/chat/completions" in text(answer)
    assert "qwen3" in text(answer)


def test_lifetime_becomes_an_expiry(alice_console, project):
    _make(alice_console, project, lifetime="30")
    left = ApiKey.objects.get().expires_at - timezone.now()
    assert timedelta(days=29) < left <= timedelta(days=30)


def test_chosen_routes_are_kept(alice_console, project):
    RouteFactory(name="a"), RouteFactory(name="b")
    _make(alice_console, project, routes=["a"])
    assert ApiKey.objects.get().routes == ["a"]


def test_reason_and_person_are_recorded(alice_console, project, events):
    _make(alice_console, project, reason="invoices")
    event = events()[-1]
    assert (event.operation, event.actor_name, event.reason, event.source) == (
        Operation.API_KEY_CREATED, "alice", "invoices", "ui",
    )  # fmt: skip


def test_refusal_stands_at_its_field(alice_console, project):
    RouteFactory(name="theirs", project=ProjectFactory())
    assert "routes" in errors(_make(alice_console, project, routes=["theirs"]))
    assert not ApiKey.objects.exists()


def test_revoking_asks_for_a_reason(alice_console):
    key = ApiKeyFactory()
    assert "reason" in errors(_revoke(alice_console, key))
    key.refresh_from_db()
    assert key.revoked_at is None


def test_revoked_key_says_so(alice_console):
    key = ApiKeyFactory()
    assert _revoke(alice_console, key, reason="lost laptop").status_code == 302
    page = text(alice_console.get(url("controlplane_apikey_change", key.pk)))
    assert 'data-state="revoked"' in page
    assert 'data-testid="action-revoke"' not in page


@pytest.mark.parametrize("state", ["active", "expired", "revoked"])
def test_list_is_narrowed_by_state(state, alice_console):
    now = timezone.now()
    ApiKeyFactory(name="key active")
    ApiKeyFactory(name="key expired", expires_at=now - timedelta(days=1))
    ApiKeyFactory(name="key revoked", revoked_at=now)
    page = text(alice_console.get(url("controlplane_apikey_changelist"), {"state": state}))
    assert [name for name in ("active", "expired", "revoked") if f"key {name}" in page] == [state]


def test_list_takes_a_fixed_number_of_queries(alice_console, django_assert_max_num_queries):
    for _ in range(12):
        ApiKeyFactory()
    with django_assert_max_num_queries(12):
        alice_console.get(url("controlplane_apikey_changelist"))


def test_rotation_shows_the_new_secret_once(alice_console):
    key = ApiKeyFactory()
    token = secret(alice_console.post(url("controlplane_apikey_do_rotate", key.pk), {"overlap": "3600"}))
    assert keys.parse(token).id == key.key_id
    page = text(alice_console.get(url("controlplane_apikey_change", key.pk)))
    assert token not in page
    assert "not since the rotation" in page


def test_change_of_a_key(alice_console):
    RouteFactory(name="a")
    key = ApiKeyFactory(routes=["gone"], cidrs=["10.0.0.0/8"])
    page = alice_console.get(url("controlplane_apikey_do_change", key.pk))
    assert page.context["form"].fields["routes"].choices == [("a", "a"), ("gone", "gone")]
    alice_console.post(url("controlplane_apikey_do_change", key.pk), {"name": "new", "routes": ["a"]})
    key.refresh_from_db()
    assert (key.name, key.routes, key.cidrs) == ("new", ["a"], None)
