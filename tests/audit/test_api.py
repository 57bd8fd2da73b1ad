"""``/audit/events`` with a text and with facets, in pages both ways."""

import pytest

from tests.api.conftest import alice_api  # noqa: F401 - the fixture
from tests.console.register import write

pytestmark = pytest.mark.django_db


def _managed(**fields):
    return write(**{"kind": "management", "source": "ui", "operation": "deployment.scaled", **fields})


def test_pages_of_a_search_go_forth_and_back(alice_api):  # noqa: F811
    for number in range(7):
        _managed(request_id=f"r{number}", reason="周末促销")
    _managed(request_id="other", reason="平日")
    first = alice_api.get("/audit/events?search=促销&limit=3").json()
    second = alice_api.get(first["next"]).json()
    back = alice_api.get(second["previous"]).json()
    shown = [[it["request_id"] for it in page["results"]] for page in (first, second, back)]
    assert shown == [["r6", "r5", "r4"], ["r3", "r2", "r1"], ["r6", "r5", "r4"]]


def test_facets(alice_api):  # noqa: F811
    _managed(project="a"), _managed(project="a"), _managed(project="b")
    found = alice_api.get("/audit/events/facets?kind=management").json()
    assert found["counted"] == 3
    assert found["facets"]["project"] == [{"value": "a", "count": 2}, {"value": "b", "count": 1}]


@pytest.mark.parametrize("query", ["nonsense=1", "search=", "kind=nonsense", "since=yesterday", "search=" + "x" * 201])
def test_nonsense_is_refused(query, alice_api):  # noqa: F811
    for path in ("/audit/events", "/audit/events/facets"):
        assert alice_api.get(f"{path}?{query}").status_code == 400


def test_outcome_of_an_intent(alice_api):  # noqa: F811
    intent = write(kind="intent", request_id="it")
    outcome = write(request_id="it", parent_id=intent.id)
    found = alice_api.get(f"/audit/events?parent_id={intent.id}").json()["results"]
    assert [it["id"] for it in found] == [str(outcome.id)]
