import pytest

from controlplane.models import Route
from tests.factories import DeploymentFactory, ProjectFactory, RouteFactory, TargetFactory

from .pages import errors, text, url


def _lines(*targets, **fields):
    sent = {"targets-TOTAL_FORMS": str(len(targets)), "targets-INITIAL_FORMS": "0", **fields}
    for number, (deployment, weight) in enumerate(targets):
        sent[f"targets-{number}-deployment"] = str(deployment.pk) if deployment else ""
        sent[f"targets-{number}-weight"] = weight
    return sent


def _make(console, *targets, **fields):
    return console.post(url("controlplane_route_add"), _lines(*targets, **{"name": "Qwen/Qwen3", **fields}))


def _weights():
    return {it.deployment.name: it.weight for it in Route.objects.get().targets.all()}


def test_route_is_made_with_weighted_targets(alice_console):
    _make(alice_console, (DeploymentFactory(name="a"), "90"), (DeploymentFactory(name="b"), "10"), (None, ""))
    assert _weights() == {"a": 90, "b": 10}


def test_route_is_changed(alice_console, events):
    target = TargetFactory(deployment__name="a", weight=100)
    sent = _lines((target.deployment, "50"), (DeploymentFactory(name="b"), "50"), reason="canary")
    alice_console.post(url("controlplane_route_do_change", target.route.pk), sent)
    assert _weights() == {"a": 50, "b": 50}
    assert events()[-1].changes == {"targets": [{"a": 100}, {"a": 50, "b": 50}]}


def test_target_without_a_deployment_goes(alice_console):
    target = TargetFactory()
    sent = _lines((None, ""))
    alice_console.post(url("controlplane_route_do_change", target.route.pk), sent)
    assert _weights() == {}


def test_same_deployment_twice_is_refused(alice_console):
    deployment = DeploymentFactory()
    answer = _make(alice_console, (deployment, "1"), (deployment, "2"))
    assert "once only" in text(answer)
    assert not Route.objects.exists()


@pytest.mark.parametrize("weight", ["", "-1", "1001", "many"])
def test_bad_weight_is_refused(weight, alice_console):
    assert _make(alice_console, (DeploymentFactory(), weight)).status_code == 200
    assert not Route.objects.exists()


def test_foreign_deployment_is_refused(alice_console):
    answer = _make(alice_console, (DeploymentFactory(project=ProjectFactory()), "1"))
    assert "another project" in errors(answer)[""][0]
    assert not Route.objects.exists()


def test_missing_management_form_is_refused(alice_console):
    assert alice_console.post(url("controlplane_route_add"), {"name": "x"}).status_code == 200
    assert not Route.objects.exists()


def test_page_shows_the_shares(alice_console):
    route = RouteFactory()
    TargetFactory(route=route, weight=3), TargetFactory(route=route, weight=1)
    page = text(alice_console.get(url("controlplane_route_change", route.pk)))
    assert "75 %" in page
    assert "25 %" in page


def test_route_is_deleted_for_a_reason(alice_console, events):
    route = RouteFactory(name="old")
    assert "reason" in errors(alice_console.post(url("controlplane_route_do_delete", route.pk), {}))
    alice_console.post(url("controlplane_route_do_delete", route.pk), {"reason": "unused"})
    assert not Route.objects.exists()
    assert (events()[-1].operation, events()[-1].target_name) == ("route.deleted", "old")
