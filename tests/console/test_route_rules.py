"""Rules, affinity and time-outs of a route in the console."""

import pytest

from controlplane.actions.set_route import change_route
from controlplane.models import Route
from inference.contract.tables import RuleEntry, TimeoutsEntry
from tests.factories import DeploymentFactory, RouteFactory, TargetFactory

from .pages import errors, text, url


@pytest.fixture
def route():
    route = RouteFactory(name="chat")
    for name in ("big", "small"):
        TargetFactory(route=route, deployment=DeploymentFactory(name=name))
    return route


def _sent(*rules, initial=0, **fields):
    sent = {"rules-TOTAL_FORMS": str(len(rules)), "rules-INITIAL_FORMS": str(initial), **fields}
    for number, rule in enumerate(rules):
        sent |= {f"rules-{number}-{name}": value for name, value in rule.items()}
    return sent


def _set(console, route, *rules, **fields):
    return console.post(url("controlplane_route_do_rules", route.pk), _sent(*rules, **fields))


def _rules():
    return Route.objects.get().rules


def test_rule_is_made(alice_console, route, events):
    rule = {
        "deployments": ["big"], "endpoints": ["chat", "message"], "prompt_tokens_from": "8000",
        "header": "X-Tier", "header_values": "gold\n\nsilver", "fallback": "on",
    }  # fmt: skip
    _set(alice_console, route, rule, affinity_header="x-user", reason="long prompts")
    [made] = _rules()
    assert (made["deployments"], made["endpoints"]) == (["big"], ["chat", "message"])
    assert (made["prompt_tokens_from"], made["prompt_tokens_to"]) == (8000, None)
    assert (made["header"], made["header_values"], made["fallback"]) == ("x-tier", ["gold", "silver"], True)
    assert Route.objects.get().affinity_header == "x-user"
    assert (events()[-1].operation, events()[-1].reason) == ("route.changed", "long prompts")


def test_places_decide_the_order(alice_console, route):
    first = {"deployments": ["big"], "header": "x-a", "ORDER": "2"}
    _set(alice_console, route, first, {"deployments": ["small"], "header": "x-b", "ORDER": "1"})
    assert [rule["header"] for rule in _rules()] == ["x-b", "x-a"]


def test_rule_is_taken_away(alice_console, route, alice):
    change_route(route, rules=[RuleEntry(("big",), header="x"), RuleEntry(("small",))], actor=alice)
    kept = {"deployments": ["small"], "ORDER": "2"}
    gone = {"deployments": ["big"], "header": "x", "ORDER": "1", "DELETE": "on"}
    _set(alice_console, route, gone, kept, initial=2)
    assert [rule["deployments"] for rule in _rules()] == [["small"]]


def test_empty_line_is_no_rule(alice_console, route):
    _set(alice_console, route, {"header": ""}, affinity_header="x-user")
    assert _rules() == []


def test_rule_says_where_its_requests_go(alice_console, route):
    answer = _set(alice_console, route, {"header": "x-tier"})
    assert "Choose where its requests go." in text(answer)
    assert _rules() == []


def test_refusal_names_the_rule(alice_console, route):
    answer = _set(alice_console, route, {"deployments": ["big"]}, {"deployments": ["small"]})
    assert errors(answer)[""][0].startswith("Rule 2: it is never reached")


@pytest.mark.parametrize(
    "rule",
    [
        {"deployments": ["elsewhere"]}, {"deployments": ["big"], "endpoints": ["images"]},
        {"deployments": ["big"], "prompt_tokens_from": "0"}, {"deployments": ["big"], "prompt_tokens_to": "many"},
        {"deployments": ["big"], "header": "a b"}, {"deployments": ["big"], "ORDER": "x"},
    ],
)  # fmt: skip
def test_bad_value_is_refused(alice_console, route, rule):
    assert _set(alice_console, route, rule).status_code == 200
    assert _rules() == []


def test_form_shows_what_is_there(alice_console, route, alice):
    change_route(route, rules=[RuleEntry(("big",), header="x-tier", header_values=("gold",))], actor=alice)
    page = text(alice_console.get(url("controlplane_route_do_rules", route.pk)))
    assert "x-tier" in page
    assert "gold" in page


def test_time_outs_are_set_and_taken_away(alice_console, route):
    path = url("controlplane_route_do_timeouts", route.pk)
    alice_console.post(path, {"connect": "0.5", "total": "90"})
    assert Route.objects.get().timeouts == {"connect": 0.5, "total": 90}
    alice_console.post(path, {"connect": "", "total": "90"})
    assert Route.objects.get().timeouts == {"total": 90}


@pytest.mark.parametrize(("sent", "field"), [({"total": "7201"}, "total"), ({"connect": "0"}, "connect")])
def test_bad_time_out_is_refused(alice_console, route, sent, field):
    assert field in errors(alice_console.post(url("controlplane_route_do_timeouts", route.pk), sent))


def test_page_tells_rules_affinity_and_time_outs(alice_console, route, alice):
    rules = [
        RuleEntry(("big",), endpoints=("chat",), prompt_tokens_from=8000),
        RuleEntry(("small",), header="x-tier", header_values=("gold", "silver"), fallback=True),
    ]
    timeouts = TimeoutsEntry(connect=0.5, total=90)
    change_route(route, rules=rules, affinity_header="x-user", timeouts=timeouts, actor=alice)
    page = text(alice_console.get(url("controlplane_route_change", route.pk)))
    for part in (
        "prompt of 8,000 tokens or more", "header x-tier is gold or silver", "other targets take over", "x-user",
        "connect 0.5 s, total 90 s",
    ):  # fmt: skip
        assert part in page


def test_page_of_a_plain_route_says_so(alice_console, route):
    page = text(alice_console.get(url("controlplane_route_change", route.pk)))
    assert "every request goes to all targets" in page
    assert "the gateway's own" in page.replace("&#x27;", "'")


def test_onlooker_changes_nothing(vera_console, route):
    assert _set(vera_console, route, {"deployments": ["big"]}).status_code == 403
    assert _rules() == []
