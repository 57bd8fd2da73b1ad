"""Rules, affinity and time-outs of a route in REST."""

from typing import Any

import pytest

from controlplane.models import Route
from tests.api.conftest import Client
from tests.factories import DeploymentFactory, RouteFactory, TargetFactory

pytestmark = pytest.mark.django_db
NO_TIMEOUTS = {"connect": None, "first_byte": None, "chunk": None, "total": None}


@pytest.fixture
def route() -> Route:
    """Two targets: ``big`` and ``small``."""
    route = RouteFactory(name="chat")
    for name in ("big", "small"):
        TargetFactory(route=route, deployment=DeploymentFactory(name=name))
    return route


def test_route_is_made_with_all(alice_api: Client) -> None:
    DeploymentFactory(name="big"), DeploymentFactory(name="small")
    response = alice_api.post(
        "/routes",
        {
            "name": "chat",
            "targets": [{"deployment": "big"}, {"deployment": "small", "weight": 10}],
            "rules": [{"deployments": ["big"], "endpoints": ["chat"], "prompt_tokens_from": 8000}],
            "affinity_header": "X-Session-Id",
            "timeouts": {"connect": 1, "total": 60.5},
        },
    )
    assert response.status_code == 201, response.content
    assert {name: response.json()[name] for name in ("rules", "affinity_header", "timeouts")} == {
        "rules": [
            {
                "deployments": ["big"], "endpoints": ["chat"], "prompt_tokens_from": 8000, "prompt_tokens_to": None,
                "header": "", "header_values": [], "fallback": False,
            }
        ],
        "affinity_header": "x-session-id",
        "timeouts": NO_TIMEOUTS | {"connect": 1.0, "total": 60.5},
    }  # fmt: skip


def test_what_is_not_given_stays(alice_api: Client, route: Route) -> None:
    alice_api.patch(f"/routes/{route.pk}", {"rules": [{"deployments": ["big"]}], "timeouts": {"total": 9}})
    body = alice_api.patch(f"/routes/{route.pk}", {"affinity_header": "x-user"}).json()
    assert [rule["deployments"] for rule in body["rules"]] == [["big"]]
    assert body["timeouts"] == NO_TIMEOUTS | {"total": 9}
    assert len(body["targets"]) == 2


def test_each_is_set_as_a_whole(alice_api: Client, route: Route) -> None:
    alice_api.patch(f"/routes/{route.pk}", {"rules": [{"deployments": ["big"]}], "timeouts": {"total": 9}})
    body = alice_api.patch(f"/routes/{route.pk}", {"rules": [], "timeouts": {"connect": 1}}).json()
    assert (body["rules"], body["timeouts"]) == ([], NO_TIMEOUTS | {"connect": 1})


def test_rule_moves_the_etag(alice_api: Client, route: Route) -> None:
    etag = alice_api.get(f"/routes/{route.pk}")["ETag"]
    changed = alice_api.patch(f"/routes/{route.pk}", {"rules": [{"deployments": ["big"]}]}, headers={"If-Match": etag})
    assert (changed.status_code, changed["ETag"] != etag) == (200, True)
    stale = alice_api.patch(f"/routes/{route.pk}", {"rules": []}, headers={"If-Match": etag})
    assert stale.status_code == 412


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"rules": [{"deployments": ["big"], "model": "x"}]}, "rules[0].model"),
        ({"rules": [{"deployments": ["none"]}]}, "rules[0].deployments[0]"),
        ({"rules": [{"endpoints": ["chat"]}]}, "rules[0].deployments"),
        ({"rules": [{"deployments": ["big"], "endpoints": ["images"]}]}, "rules[0].endpoints[0]"),
        ({"rules": [{"deployments": ["big"], "prompt_tokens_from": "8000"}]}, "rules[0].prompt_tokens_from"),
        ({"rules": [{"deployments": ["big"], "prompt_tokens_to": 0}]}, "rules[0].prompt_tokens_to"),
        ({"rules": [{"deployments": ["big"], "header": "a b"}]}, "rules"),
        ({"rules": [{"deployments": ["big"], "fallback": 1}]}, "rules[0].fallback"),
        ({"rules": [{"deployments": ["big"]}] * 51}, "rules"),
        ({"rules": None}, "rules"),
        ({"rules": {}}, "rules"),
        ({"affinity_header": "a b"}, "affinity_header"),
        ({"affinity_header": None}, "affinity_header"),
        ({"timeouts": {"total": 7201}}, "timeouts.total"),
        ({"timeouts": {"total": "9"}}, "timeouts.total"),
        ({"timeouts": {"total": True}}, "timeouts.total"),
        ({"timeouts": {"total": 10**400}}, "timeouts.total"),
        ({"timeouts": {"connect": 2, "total": 1}}, "timeouts"),
        ({"timeouts": {"read": 1}}, "timeouts.read"),
        ({"timeouts": []}, "timeouts"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_field(
    alice_api: Client, route: Route, body: dict[str, Any], field: str
) -> None:
    response = alice_api.patch(f"/routes/{route.pk}", body)
    assert response.status_code == 400, response.content
    assert response.json()["errors"][0]["field"].startswith(field)
    route.refresh_from_db()
    assert (route.rules, route.affinity_header, route.timeouts) == ([], "", {})
