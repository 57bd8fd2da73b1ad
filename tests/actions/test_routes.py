"""What a route may be set to, what the register keeps of it, and what the gateway is told."""

from typing import Any

import pytest

from audit.models import Event
from audit.record import Actor
from controlplane import gateway_tables
from controlplane.actions.set_route import change_route, create_route
from controlplane.errors import Invalid
from controlplane.models import Route
from inference.contract.tables import RuleEntry, TimeoutsEntry
from tests.factories import DeploymentFactory, RouteFactory, TargetFactory

pytestmark = pytest.mark.django_db
BIG = RuleEntry(("big",), prompt_tokens_from=8000)


@pytest.fixture
def route() -> Route:
    """Targets: ``big``, ``small``, and ``off`` with weight 0."""
    route = RouteFactory(name="chat")
    for name, weight in (("big", 1), ("small", 9), ("off", 0)):
        TargetFactory(route=route, deployment=DeploymentFactory(name=name), weight=weight)
    return route


def test_register_keeps_the_difference(alice: Actor, route: Route) -> None:
    change_route(route, rules=[BIG], actor=alice, reason="long prompts")
    change_route(route, rules=[BIG], actor=alice)
    event = Event.objects.get(operation="route.changed")
    assert event.reason == "long prompts"
    before, [rule] = event.changes.pop("rules")
    assert (before, rule["deployments"], rule["prompt_tokens_from"]) == ([], ["big"], 8000)
    assert event.changes == {}


def test_register_keeps_what_a_route_began_with(alice: Actor) -> None:
    create_route(
        name="chat", targets={DeploymentFactory(name="big"): 1}, rules=[BIG], affinity_header="x-user",
        timeouts=TimeoutsEntry(connect=1), actor=alice,
    )  # fmt: skip
    detail = Event.objects.get(operation="route.created").detail
    assert detail.keys() == {"targets", "rules", "affinity_header", "timeouts"}


def test_gateway_is_told(alice: Actor, route: Route) -> None:
    rule = RuleEntry(("big", "small"), endpoints=("chat",), header="X-Tier", header_values=("gold",), fallback=True)
    change_route(
        route, rules=[rule], affinity_header=" X-User ", timeouts=TimeoutsEntry(connect=0.5, total=60), actor=alice
    )
    [entry] = gateway_tables.route_table().routes
    assert entry.rules == (
        RuleEntry(("big", "small"), endpoints=("chat",), header="x-tier", header_values=("gold",), fallback=True),
    )
    assert (entry.affinity_header, entry.timeouts) == ("x-user", TimeoutsEntry(connect=0.5, total=60))


def test_rules_are_written_in_one_way(alice: Actor, route: Route) -> None:
    rule = RuleEntry(("big", "big"), endpoints=("embedding", "chat"), header=" X-T ", header_values=("b", " a ", "b"))
    [kept] = change_route(route, rules=[rule], actor=alice).rules
    assert (kept["deployments"], kept["endpoints"]) == (["big"], ["chat", "embedding"])
    assert (kept["header"], kept["header_values"]) == ("x-t", ["b", "a"])


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({"deployments": ()}, "which deployments"),
        ({"deployments": ("elsewhere",)}, "elsewhere is no target"),
        ({"deployments": ("off",)}, "weight above 0"),
        ({"endpoints": ("images",)}, "no endpoint images"),
        ({"prompt_tokens_from": 0}, "length"),
        ({"prompt_tokens_to": -1}, "length"),
        ({"prompt_tokens_from": 5, "prompt_tokens_to": 5}, "at least 5 and less than 5"),
        ({"header": "a b"}, "no header name"),
        ({"header": "x" * 65}, "no header name"),
        ({"header": "ü"}, "no header name"),
        ({"header": "Authorization"}, "credentials"),
        ({"header": "Cookie"}, "credentials"),
        ({"header_values": ("gold",)}, "name of the header"),
        ({"header": "x", "header_values": ("",)}, "visible ASCII"),
        ({"header": "x", "header_values": ("a\nb",)}, "visible ASCII"),
        ({"header": "x", "header_values": ("金",)}, "visible ASCII"),
        ({"header": "x", "header_values": ("a" * 257,)}, "visible ASCII"),
        ({"header": "x", "header_values": tuple(map(str, range(51)))}, "at most 50"),
    ],
)
def test_rule_that_cannot_be_is_refused_by_its_number(
    alice: Actor, route: Route, rule: dict[str, Any], why: str
) -> None:
    with pytest.raises(Invalid, match=why) as refused:
        change_route(route, rules=[BIG, RuleEntry(**{"deployments": ("big",)} | rule)], actor=alice)
    assert refused.value.field == "rules"
    assert refused.value.message.startswith("Rule 2: ")
    assert not Event.objects.exists()


def test_rule_behind_one_that_takes_everything_is_refused(alice: Actor, route: Route) -> None:
    with pytest.raises(Invalid, match="Rule 2: it is never reached"):
        change_route(route, rules=[RuleEntry(("small",)), BIG], actor=alice)


def test_last_rule_may_take_everything(alice: Actor, route: Route) -> None:
    assert len(change_route(route, rules=[BIG, RuleEntry(("small",))], actor=alice).rules) == 2


def test_target_without_weight_is_enough_for_a_rule_with_fallback(alice: Actor, route: Route) -> None:
    assert change_route(route, rules=[RuleEntry(("off",), fallback=True)], actor=alice).rules


def test_too_many_rules_are_refused(alice: Actor, route: Route) -> None:
    with pytest.raises(Invalid, match="50"):
        change_route(route, rules=[BIG] * 51, actor=alice)


@pytest.mark.parametrize("left", [{"small": 1}, {"small": 1, "big": 0}])
def test_target_that_a_rule_needs_cannot_go(alice: Actor, route: Route, left: dict[str, int]) -> None:
    change_route(route, rules=[BIG], actor=alice)
    targets = {it.deployment: left[it.deployment.name] for it in route.targets.all() if it.deployment.name in left}
    with pytest.raises(Invalid, match="Rule 1"):
        change_route(route, targets=targets, actor=alice)
    assert route.targets.count() == 3


def test_target_and_its_rule_go_together(alice: Actor, route: Route) -> None:
    change_route(route, rules=[BIG], actor=alice)
    small = route.targets.get(deployment__name="small").deployment
    assert change_route(route, targets={small: 1}, rules=[], actor=alice).rules == []


@pytest.mark.parametrize(
    "timeouts",
    [
        {"connect": 0.09}, {"first_byte": 7200.1}, {"chunk": -1}, {"total": 0}, {"total": float("nan")},
        {"connect": float("inf")}, {"connect": 3, "total": 2}, {"first_byte": 3, "total": 2}, {"chunk": 3, "total": 2},
    ],
)  # fmt: skip
def test_time_outs_that_make_no_sense_are_refused(alice: Actor, route: Route, timeouts: dict[str, float]) -> None:
    with pytest.raises(Invalid) as refused:
        change_route(route, timeouts=TimeoutsEntry(**timeouts), actor=alice)
    assert refused.value.field == "timeouts"


@pytest.mark.parametrize("timeouts", [{"connect": 0.1, "total": 7200}, {"chunk": 2, "total": 2}, {}])
def test_time_outs_at_the_edges_are_kept(alice: Actor, route: Route, timeouts: dict[str, float]) -> None:
    assert change_route(route, timeouts=TimeoutsEntry(**timeouts), actor=alice).timeouts == timeouts


@pytest.mark.parametrize("header", ["a b", "x" * 65, "a:", "ü", "x\n-"])
def test_affinity_header_must_be_one(alice: Actor, route: Route, header: str) -> None:
    with pytest.raises(Invalid) as refused:
        change_route(route, affinity_header=header, actor=alice)
    assert refused.value.field == "affinity_header"
