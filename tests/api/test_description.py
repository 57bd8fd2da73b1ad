"""The API's description is valid, current in the repository, and complete."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import URLPattern
from openapi_spec_validator import OpenAPIV31SpecValidator

from controlplane.api.nouns import LABEL, PUBLIC_NAME
from controlplane.api.schema import document
from controlplane.api.urls import urlpatterns
from controlplane.models.base import dns_label, public_name

SNAPSHOT = Path(settings.BASE_DIR) / "docs" / "openapi.json"


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return dict(json.loads(document()))


def operations(schema: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, operation) for path, item in schema["paths"].items() for method, operation in item.items()]


def test_is_valid(schema: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(schema).validate()


def test_snapshot_is_current(schema: dict[str, Any]) -> None:
    renew = "manage.py spectacular --format openapi-json --file docs/openapi.json"
    assert json.loads(SNAPSHOT.read_text()) == schema, f"renew it: {renew}"


def test_is_served_to_all(schema: dict[str, Any]) -> None:
    response = Client().get("/api/v1/openapi.json")
    assert response.status_code == 200
    assert response.json() == schema


def test_every_path_is_in_it(schema: dict[str, Any]) -> None:
    own = {str(pattern.pattern) for pattern in urlpatterns if isinstance(pattern, URLPattern)} - {
        "openapi.json",
        "<path:rest>",
    }
    described = {path.removeprefix("/api/v1/").split("{")[0] for path in schema["paths"]}
    assert {pattern.split("<")[0] for pattern in own} == described


def test_every_operation_has_errors_and_authentication(schema: dict[str, Any]) -> None:
    for path, method, operation in operations(schema):
        assert {"400", "401", "403"} <= operation["responses"].keys(), (path, method)
        if "/auth/" in path:  # the credential stands in the body
            assert operation["security"] == [], (path, method)
            continue
        assert {"bearer": []} in operation["security"], (path, method)
        assert {} not in operation["security"], (path, method)


def test_every_change_takes_a_reason(schema: dict[str, Any]) -> None:
    for path, method, operation in operations(schema):
        names = {parameter["name"] for parameter in operation.get("parameters", [])}
        if "/auth/" in path:
            assert names == set(), path
            continue
        if path.endswith("/bodies"):  # a look at people's words: remembered nowhere, and changes nothing
            assert names == {"id", "X-Reason", "X-Signalbox-Ticket"}
            continue
        assert ({"X-Reason", "X-Signalbox-Ticket"} <= names) == (method != "get"), path
        assert ("If-Match" in names) == ("{id}" in path and method != "get"), path
        assert ("Idempotency-Key" in names) == (method == "post"), path


def test_bodies_refuse_unknown_fields(schema: dict[str, Any]) -> None:
    for path, method, operation in operations(schema):
        if "requestBody" in operation:
            content = operation["requestBody"]["content"]
            assert list(content) == ["application/json"], (path, method)
            name = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
            assert schema["components"]["schemas"][name]["additionalProperties"] is False, name


def test_patterns_are_the_models_own() -> None:
    for pattern, validator in ((LABEL, dns_label), (PUBLIC_NAME, public_name)):
        assert validator.regex.pattern == pattern.replace("^", r"\A", 1).removesuffix("$") + r"\Z"
