"""Every page × everybody: who is not listed gets no page."""

import pytest
from django.contrib import admin
from django.urls import URLPattern

from controlplane.actions.create_api_key import create_api_key
from controlplane.models import ApiKey, Deployment, Limit, ManagementToken, Model, ModelVersion, Project, Route, User
from tests.factories import DeploymentFactory, LimitFactory, ProjectFactory, ReplicaFactory, RouteFactory, TargetFactory

from .pages import url

OPEN = {"login", "logout", "jsi18n"}
DJANGOS_OWN = {"autocomplete", "view_on_site", "app_list", "search", "password_change_done", None}
STAFF = {"index", "overview_live", "password_change"} | {
    f"controlplane_{noun}_{page}"
    for noun in ("model", "modelversion", "deployment", "route", "apikey", "project", "limit")
    for page in ("changelist", "change", "live", "log")
}


def _patterns() -> list[URLPattern]:
    found = []
    for pattern in admin.site.urls[0]:
        found += getattr(pattern, "url_patterns", [pattern])
    return [it for it in found if it.name not in DJANGOS_OWN]


PATHS = [it.name for it in _patterns() if it.name not in OPEN]


@pytest.fixture
def objects(alice_user, alice):
    """One of each, so that a path with an id leads somewhere."""
    deployment = DeploymentFactory(name="d")
    replica = ReplicaFactory(deployment=deployment, name="d-0", ordinal=0)
    route = RouteFactory()
    TargetFactory(route=route, deployment=deployment)
    key = create_api_key(project=ProjectFactory(), name="k", actor=alice).key
    token = ManagementToken.objects.create(user=alice_user, name="t", digest="0" * 64)
    things = {
        Model: deployment.version.model, ModelVersion: deployment.version, Deployment: deployment, Route: route,
        ApiKey: key, Project: key.project, User: alice_user, ManagementToken: token,
        Limit: LimitFactory(api_key=key),
    }  # fmt: skip
    return {kind._meta.model_name: thing for kind, thing in things.items()} | {"replica": replica}


def _path(name: str, objects) -> str:
    rule = next(it for it in _patterns() if it.name == name).pattern
    if "object_id" not in str(rule):
        return url(name)
    noun = name.split("_")[1]
    key = objects[noun].pk if noun in objects else "0190aaaa-0000-7000-8000-000000000000"
    return url(name, key, "d-0") if "replica" in str(rule) else url(name, key)


@pytest.mark.parametrize("name", PATHS)
def test_stranger_is_led_to_the_door(name, client, objects):
    answer = client.get(_path(name, objects))
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(url("login"))


@pytest.mark.parametrize("name", PATHS)
def test_outsider_is_led_to_the_door(name, charlie_console, objects):
    assert charlie_console.get(_path(name, objects)).status_code == 302


@pytest.mark.parametrize("name", PATHS)
def test_onlooker_sees_what_is_served_only(name, vera_console, objects):
    status = vera_console.get(_path(name, objects)).status_code
    assert status == (200 if name in STAFF else 405 if name == "playground_answer" else 403)


@pytest.mark.parametrize("name", PATHS)
def test_onlooker_changes_nothing(name, vera_console, objects, events):
    before = len(events())
    assert vera_console.post(_path(name, objects), {"reason": "because", "name": "n"}).status_code in {200, 403, 405}
    assert len(events()) == before


@pytest.mark.parametrize("name", PATHS)
def test_owner_sees_every_page(name, alice_console, objects):
    expected = {"playground_answer": 405, "audit_event_change": 404}
    assert alice_console.get(_path(name, objects)).status_code == expected.get(name, 200)


@pytest.mark.parametrize("key", ["nonsense", "0190aaaa-0000-7000-8000-000000000000", "%00"])
@pytest.mark.parametrize("noun", ["deployment", "route", "apikey", "user", "model"])
def test_unknown_id_is_not_found(noun, key, alice_console):
    assert alice_console.get(f"/console/controlplane/{noun}/{key}/").status_code == 404
