"""Every error is problem+json, names what is wrong and holds nothing else."""

import json
from typing import Any
from unittest.mock import patch

import pytest
from django.db import OperationalError
from django.test import Client as DjangoClient

from audit.api import Events
from audit.models import Event
from controlplane.models import Deployment, Model
from inference.contract import keys
from tests.api.conftest import Client
from tests.factories import ModelFactory, ProjectFactory, VersionFactory

pytestmark = pytest.mark.django_db
NO_SUCH = "/models/00000000-0000-7000-8000-000000000000"


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body = json.loads(response.content)
    assert body.keys() == {"type", "title", "status", "detail", "code", "errors", "request_id"}
    assert (body["status"], body["code"]) == (status, code)
    assert body["request_id"] == response["X-Request-ID"]
    return dict(body)


def test_unknown_object(alice_api: Client) -> None:
    problem(alice_api.get(NO_SUCH), 404, "not_found")


@pytest.mark.parametrize(
    "path", ["/nothing", "/models/not-a-uuid", "/models/1/2/3", "/nothing/", "//", "/users/" + "9" * 30]
)
def test_unknown_path(alice_api: Client, path: str) -> None:
    problem(alice_api.get(path), 404, "not_found")


def test_slash_too_many(alice_api: Client) -> None:
    assert alice_api.get("/models/").status_code == 200
    assert alice_api.post("/models/", {"name": "m"}).status_code == 201


@pytest.mark.parametrize("method", ["put", "trace", "options"])
def test_unknown_method(alice_api: Client, method: str) -> None:
    response = getattr(alice_api, method)("/api/v1/models")
    problem(response, 405, "method_not_allowed")
    assert response["Allow"]


def test_not_acceptable(alice_api: Client) -> None:
    problem(alice_api.get("/models", headers={"Accept": "text/html"}), 406, "not_acceptable")


def test_unsupported_body(alice_api: Client) -> None:
    response = alice_api.generic("POST", "/models", b"name=x", content_type="application/x-www-form-urlencoded")
    problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"{'a': 1}", b"\xff", b'{"name": NaN}', b'{"name": 1e999}', b'{"name": "a\\u0000"}', b"[" * 100_000,
        b'{"name": "\\ud800"}', b'{"name": "a", "name": "b"}', b'{"a":' * 40 + b"1" + b"}" * 40,
        b'{"x": ' + b"9" * 5000 + b"}",
        b'{"a\\u0000": 1}', b'{"name": [["\\u0000"]]}', "{}".encode("utf-16"),
    ],
)  # fmt: skip
def test_malformed_json(alice_api: Client, body: bytes) -> None:
    response = alice_api.generic("POST", "/models", body, content_type="application/json")
    assert problem(response, 400, "parse_error" if body else "invalid")["detail"]


@pytest.mark.parametrize("body", [[], "x", 1, None, True, [[]]])
def test_body_is_no_object(alice_api: Client, body: Any) -> None:
    response = alice_api.generic("POST", "/models", json.dumps(body).encode(), content_type="application/json")
    problem(response, 400, "invalid")


def test_body_too_large(alice_api: Client) -> None:
    body = json.dumps({"name": "m", "description": "x" * 1_100_000}).encode()
    problem(alice_api.generic("POST", "/models", body, content_type="application/json"), 413, "too_large")


def test_unknown_fields_are_named(alice_api: Client) -> None:
    body = problem(alice_api.post("/models", {"name": "m", "nmae": 1, "id": 2}), 400, "invalid")
    assert [(error["field"], error["code"]) for error in body["errors"]] == [
        ("id", "unknown_field"), ("nmae", "unknown_field"),
    ]  # fmt: skip
    assert not Model.objects.exists()


@pytest.mark.parametrize(
    ("fields", "field", "expected"),
    [
        ({"name": 1}, "name", "text"),
        ({"name": True}, "name", "text"),
        ({"name": ["m"]}, "name", "text"),
        ({"name": None}, "name", "null"),
        ({}, "name", "required"),
        ({"name": ""}, "name", "blank"),
        ({"name": "a\nb"}, "name", "U+000A"),
        ({"name": "Upper"}, "name", "lower-case"),
        ({"name": "x" * 53}, "name", "52"),
        ({"name": "m", "description": "\x1b[31m"}, "description", "U+001B"),
        ({"name": "m", "project": 5}, "project", "name or an id"),
        ({"name": "m", "project": "nowhere"}, "project", "no such"),
        ({"name": "m", "reason": "x" * 501}, "reason", "500"),
        ({"name": "m", "reason": "a\rb"}, "reason", "U+000D"),
    ],
)
def test_wrong_value_names_field_and_type(alice_api: Client, fields: dict[str, Any], field: str, expected: str) -> None:
    body = problem(alice_api.post("/models", fields), 400, "invalid")
    assert body["errors"][0]["field"] == field
    assert expected in body["errors"][0]["message"]
    assert not Model.objects.exists()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"replicas": "2"}, "replicas"),
        ({"replicas": 2.0}, "replicas"),
        ({"replicas": True}, "replicas"),
        ({"replicas": -1}, "replicas"),
        ({"replicas": 65}, "replicas"),
        ({"replicas": 10**30}, "replicas"),
        ({"replicas": None}, "replicas"),
        ({"engine_args": []}, "engine_args"),
        ({"engine_args": {"host": "0.0.0.0"}}, "engine_args"),
        ({"engine_args": {"x": {"deep": "\x01"}}}, "engine_args"),
        ({"engine_env": {"LD_PRELOAD": "x"}}, "engine_env"),
        ({"backend": "moon"}, "backend"),
        ({"backend": ["process"]}, "backend"),
        ({"flavour": "external"}, "backend"),
        ({"external_url": "http://x"}, "external_url"),
        ({"version": "m:v9"}, "version"),
    ],
)
def test_wrong_deployment_names_the_field(alice_api: Client, fields: dict[str, Any], field: str) -> None:
    VersionFactory(model__name="m", name="v1")
    response = alice_api.post("/deployments", {"name": "blue", "version": "m:v1"} | fields)
    assert problem(response, 400, response.json()["code"])["errors"][0]["field"] == field
    assert not Deployment.objects.exists()


@pytest.mark.parametrize(
    ("target", "field"),
    [
        ({"deployment": "none"}, "targets[1].deployment"),
        ({"deployment": "blue", "weight": -1}, "targets[1].weight"),
        ({"weight": 1}, "targets[1].deployment"),
        ({"deployment": "blue", "wieght": 1}, "targets[1].wieght"),
        ({"deployment": "blue", "reason": "x"}, "targets[1].reason"),
        ("blue", "targets[1]"),
        ({"deployment": "blue"}, "targets"),
    ],
)
def test_wrong_target_names_its_place(alice_api: Client, target: Any, field: str) -> None:
    VersionFactory(model__name="m", name="v1")
    alice_api.post("/deployments", {"name": "blue", "version": "m:v1"})
    response = alice_api.post("/routes", {"name": "chat", "targets": [{"deployment": "blue"}, target]})
    assert problem(response, 400, "invalid")["errors"][0]["field"] == field


@pytest.mark.parametrize(
    "end", ["2020-01-01T00:00:00Z", "2099-01-01", "2099-01-01T00:00:00", 5, "soon", "9999-99-99T00:00:00Z"]
)
def test_wrong_expiry(alice_api: Client, end: Any) -> None:
    ProjectFactory(name="default")
    response = alice_api.post("/api-keys", {"project": "default", "name": "k", "expires_at": end})
    assert problem(response, 400, "invalid")["errors"][0]["field"] == "expires_at"


def test_taken_name_is_a_conflict(alice_api: Client) -> None:
    ModelFactory(name="m")
    problem(alice_api.post("/models", {"name": "m"}), 409, "already_exists")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "limit=", "limit=१", "cursor=%F0%9F%92%A9", "cursor=", "name=",
              "search=", "project=", "ordering=digest", "nmae=x", "name=a&name=b",
              "search=%00", "search=" + "x" * 201, "ordering=--name"],
)  # fmt: skip
def test_bad_query(alice_api: Client, query: str) -> None:
    body = problem(alice_api.get(f"/models?{query}"), 400, "invalid")
    assert body["errors"][0]["field"] == query.partition("=")[0]


@pytest.mark.parametrize(
    "query", ["kind=x", "operation=x", "since=yesterday", "parent_id=1", "since=", "since=2026-01-01",
              "until=2026-01-01T00:00:00", "until=2026-13-01T00:00:00Z", "kind="],
)  # fmt: skip
def test_bad_filter(alice_api: Client, query: str) -> None:
    problem(alice_api.get(f"/audit/events?{query}"), 400, "invalid")


def test_filter_names_what_may_be_chosen(alice_api: Client) -> None:
    answer = alice_api.get("/versions?state=redy")
    assert answer.json()["errors"][0]["message"] == "Expected one of: available, retired."


@pytest.mark.parametrize("query", ["usable=AAA", "usable=1", "usable=True", "usable=", "unused_since=now"])
def test_filter_that_is_not_understood_is_not_passed_over(alice_api: Client, query: str) -> None:
    body = problem(alice_api.get(f"/api-keys?{query}"), 400, "invalid")
    assert body["errors"][0]["field"] == query.partition("=")[0]


@pytest.mark.parametrize("path", ["/models/{}?x=1", "/models/{}?fields=name"])
def test_unknown_parameter_of_one_object_is_refused_too(alice_api: Client, path: str) -> None:
    body = problem(alice_api.get(path.format(ModelFactory().pk)), 400, "invalid")
    assert body["errors"][0]["code"] == "unknown_parameter"


def test_failure_shows_nothing_of_the_inside(alice_api: Client) -> None:
    with patch("controlplane.api.catalog.create_model", side_effect=RuntimeError("secret inside")):
        response = alice_api.post("/models", {"name": "m"})
    problem(response, 500, "internal_error")
    assert b"secret" not in response.content
    assert b"Traceback" not in response.content


def test_database_away_is_503(alice_api: Client) -> None:
    with patch("controlplane.api.catalog.create_model", side_effect=OperationalError("host 10.0.0.5")):
        response = alice_api.post("/models", {"name": "m"})
    problem(response, 503, "database_unavailable")
    assert b"10.0.0.5" not in response.content
    assert response["Retry-After"]


def test_slow_question_to_the_register_is_ended(alice_api: Client) -> None:
    alice_api.post("/projects", {"name": "p"})
    slow = Event.objects.extra(where=["pg_sleep(1) IS NOT NULL"])
    with patch("audit.api.PATIENCE_MS", 1), patch.object(Events, "get_queryset", lambda _view: slow):
        response = alice_api.get("/audit/events")
    problem(response, 503, "query_timed_out")


def test_refused_host_is_a_problem_too() -> None:
    response = DjangoClient(headers={"Host": "evil.example"}).get("/api/v1/models")
    assert problem_without_id(response) == 400


def problem_without_id(response: Any) -> int:
    assert response["Content-Type"] == "application/problem+json"
    return int(json.loads(response.content)["status"])


def test_request_id_is_kept(alice_api: Client) -> None:
    response = alice_api.get(NO_SUCH, headers={"X-Request-ID": "client-chosen-1"})
    assert response.json()["request_id"] == response["X-Request-ID"] == "client-chosen-1"


def test_request_id_that_is_a_secret_is_replaced(alice_api: Client) -> None:
    token = keys.generate(prefix="sbm").token
    response = alice_api.get(NO_SUCH, headers={"X-Request-ID": token})
    assert token not in response.content.decode() + str(response.headers)
