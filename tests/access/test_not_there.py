"""What one may not see answers as what is not there: the same words after the same work, so that no clock tells either.

Equal work is compared as the statements that reach the database, with their values left out.
"""

import re
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from controlplane.roles import Role
from tests import factories
from tests.access.matrix import OF_ALL_READERS, OPERATIONS, client, entered, token_of
from tests.access.routes import Operation, filled, pages
from tests.access.world import World, make, person
from tests.api.conftest import Client

pytestmark = pytest.mark.django_db
NOBODYS = UUID("0190aaaa-0000-7000-8000-000000000000")
NO_NUMBER = 987_654_321
DETAILS = [operation for operation in OPERATIONS if operation.detail and operation.noun not in OF_ALL_READERS]
PAGES = [name for name in pages() if not name.endswith(("_changelist", "_add", "_log", "_events", "_roles"))]


@pytest.fixture
def alpha() -> World:
    return make("alpha")


@pytest.fixture
def olga(alpha: World) -> Any:
    """Owns another project."""
    return person("olga", Role.OWNER, make("beta").project)


@pytest.fixture
def api(olga: Any) -> Client:
    return client(token_of(olga))


def work(send: Any) -> tuple[Any, list[str]]:
    with CaptureQueriesContext(connection) as captured:
        response = send()
    return response, [re.sub(r"'[^']*'|\d+", "?", query["sql"]) for query in captured]


def other(operation_or_noun: str) -> Any:
    if operation_or_noun == "audit/months":
        return "1999-01"
    return NO_NUMBER if operation_or_noun in {"users", "user", "audit/holds", "hold"} else NOBODYS


@pytest.mark.parametrize("operation", DETAILS, ids=lambda it: f"{it.method} {it.path}")
def test_api(operation: Operation, api: Client, alpha: World) -> None:
    def send(key: Any) -> Any:
        body = None if operation.method == "get" else {"reason": "because", **entered(operation, alpha)}
        return getattr(api, operation.method)(filled(operation.path, key), body)

    send(other(operation.noun))  # what is remembered after the first time is not the difference
    foreign, foreign_work = work(lambda: send(getattr(thing := alpha.things[operation.noun], "pk", thing)))
    absent, absent_work = work(lambda: send(other(operation.noun)))
    assert (foreign.status_code, absent.status_code) == (404, 404)
    assert foreign.json() | {"request_id": ""} == absent.json() | {"request_id": ""}
    assert foreign_work == absent_work != []


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("name", PAGES)
def test_console(name: str, method: str, olga: Any, alpha: World) -> None:
    browser, noun = Browser(), name.split("_")[1]
    browser.force_login(olga)

    def send(key: Any) -> Any:
        return getattr(browser, method)(reverse(f"admin:{name}", args=[key]), {"reason": "because"})

    send(other(noun))
    foreign, foreign_work = work(lambda: send(alpha.by_model[noun].pk))
    absent, absent_work = work(lambda: send(other(noun)))
    assert foreign.status_code == absent.status_code >= 400
    assert foreign_work == absent_work != []


REFERENCES: dict[str, tuple[str, dict[str, Any], str]] = {
    "a model's project": ("/models", {"name": "m"}, "project:projects"),
    "a version's model": ("/versions", {"name": "v", "source": "hf:a/b"}, "model:models"),
    "a deployment's version": ("/deployments", {"name": "d", "project": "beta"}, "version:versions"),
    "a deployment's project": ("/deployments", {"name": "d", "version": "beta-model:v"}, "project:projects"),
    "a route's project": ("/routes", {"name": "r", "targets": []}, "project:projects"),
    "a key's project": ("/api-keys", {"name": "k"}, "project:projects"),
    "a limit's key": ("/limits", {"concurrency": 1}, "api_key:api-keys"),
    "a limit's route": ("/limits", {"concurrency": 1, "project": "beta"}, "route:routes"),
    "a limit's project": ("/limits", {"concurrency": 1}, "project:projects"),
    "a machine's project": ("/service-accounts", {"name": "m"}, "project:projects"),
    "a token's machine": ("/tokens", {"name": "t"}, "service_account:service-accounts"),
    "a binding's project": ("/role-bindings", {"user": "olga", "role": "viewer"}, "project:projects"),
    "a binding's machine": (
        "/role-bindings",
        {"role": "viewer", "project": "beta"},
        "service_account:service-accounts",
    ),
}


@pytest.mark.parametrize("by", ["id", "name"])
@pytest.mark.parametrize("reference", REFERENCES)
def test_naming_it_in_something_new(reference: str, by: str, api: Client, alpha: World) -> None:
    path, body, named = REFERENCES[reference]
    field, _, noun = named.partition(":")
    factories.VersionFactory.create(model=make("gamma").things["models"], name="v")  # nobody here sees that either
    thing = alpha.things[noun]
    key = {"api-keys": "key_id"}.get(noun, "name")
    name = f"alpha-model:{thing.name}" if noun == "versions" else getattr(thing, key)
    absent_name = f"alpha-model:{'x' * len(thing.name)}" if noun == "versions" else "x" * len(name)
    present, absent = (str(thing.pk), str(NOBODYS)) if by == "id" else (name, absent_name)

    def send(value: str) -> Any:
        return api.post(path, {**body, field: value})

    send(absent)
    foreign, foreign_work = work(lambda: send(present))
    missing, missing_work = work(lambda: send(absent))
    assert (foreign.status_code, missing.status_code) == (400, 400)
    assert foreign.json() | {"request_id": ""} == missing.json() | {"request_id": ""}
    assert {"field": field, "code": "unknown", "message": "There is no such object."} in foreign.json()["errors"]
    assert foreign_work == missing_work != []


def test_target_of_another_project(api: Client, alpha: World) -> None:
    for target in (alpha.things["deployments"].name, str(alpha.things["deployments"].pk), "nobodys", str(NOBODYS)):
        refused = api.post("/routes", {"name": "r", "project": "beta", "targets": [{"deployment": target}]})
        assert refused.json()["errors"][0]["code"] == "unknown"


def test_key_for_a_route_of_another_project(api: Client, alpha: World) -> None:
    foreign, absent = (
        api.post("/api-keys", {"name": "k", "project": "beta", "routes": [name]})
        for name in ("alpha-route", "no-route")
    )
    assert foreign.json()["errors"][0]["message"].replace("alpha", "no") == absent.json()["errors"][0]["message"]
