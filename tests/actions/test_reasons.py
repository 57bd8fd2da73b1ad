"""What ends something says why, whichever door it comes in by; blanks are no reason."""

from collections.abc import Callable
from typing import Any

import pytest

from audit.models import Event, Hold
from audit.record import Actor
from controlplane.actions.delete_alert_rule import delete_alert_rule
from controlplane.actions.delete_channel import delete_channel
from controlplane.actions.delete_deployment import delete_deployment
from controlplane.actions.delete_route import delete_route
from controlplane.actions.disable_user import disable_user
from controlplane.actions.dismiss_sql_reader import dismiss_sql_reader
from controlplane.actions.erase_bodies import erase_bodies
from controlplane.actions.issue_password import issue_password
from controlplane.actions.lift_hold import lift_hold
from controlplane.actions.place_hold import place_hold
from controlplane.actions.remove_limit import remove_limit
from controlplane.actions.retire_month import retire_month
from controlplane.actions.retire_version import retire_version
from controlplane.actions.revoke_api_key import revoke_api_key
from controlplane.actions.revoke_role import revoke_role
from controlplane.actions.revoke_token import revoke_token
from controlplane.actions.scale_deployment import scale_deployment
from controlplane.errors import Invalid
from controlplane.models import ManagementToken, SqlReader
from tests import factories
from tests.audit.months import old_month

pytestmark = pytest.mark.django_db


def _retire(**by: Any) -> Any:
    with old_month() as month:
        return retire_month(month, **by)


ENDINGS: dict[str, Callable[..., Any]] = {
    "delete_deployment": lambda **by: delete_deployment(factories.DeploymentFactory(), **by),
    "delete_route": lambda **by: delete_route(factories.RouteFactory(), **by),
    "retire_month": _retire,
    "place_hold": lambda **by: place_hold(of="project", name=factories.ProjectFactory().name, **by),
    "lift_hold": lambda **by: lift_hold(Hold.objects.create(of="actor", name="k", reason="r", placed_by="p"), **by),
    "retire_version": lambda **by: retire_version(factories.VersionFactory(), **by),
    "remove_limit": lambda **by: remove_limit(factories.LimitFactory(route=factories.RouteFactory()), **by),
    "revoke_api_key": lambda **by: revoke_api_key(factories.ApiKeyFactory(), **by),
    "issue_password": lambda **by: issue_password(factories.UserFactory(), password="a one-time word", **by),
    "disable_user": lambda **by: disable_user(factories.UserFactory(), **by),
    "revoke_token": lambda **by: revoke_token(
        ManagementToken.objects.create(user=factories.UserFactory(), name="t", digest="d"), **by
    ),
    "revoke_role": lambda **by: revoke_role(factories.BindingFactory(user=factories.UserFactory()), **by),
    "delete_alert_rule": lambda **by: delete_alert_rule(factories.AlertRuleFactory(), **by),
    "delete_channel": lambda **by: delete_channel(factories.ChannelFactory(), **by),
    "dismiss_sql_reader": lambda **by: dismiss_sql_reader(SqlReader.objects.create(role="r", project=None), **by),
    "erase_bodies": lambda **by: erase_bodies(factories.BodyKeyFactory(person="dora").project, person="dora", **by),
    "scale_to_zero": lambda **by: scale_deployment(factories.DeploymentFactory(replicas=2), replicas=0, **by),
}


@pytest.mark.parametrize("reason", ["", "  "])
@pytest.mark.parametrize("ending", ENDINGS)
def test_reason_is_required(ending: str, reason: str, alice: Actor, events: Callable[[], list[Event]]) -> None:
    with pytest.raises(Invalid) as refused:
        ENDINGS[ending](actor=alice, reason=reason)
    assert (refused.value.field, refused.value.code) == ("reason", "reason_required")
    assert events() == []


@pytest.mark.parametrize("ending", ENDINGS)
def test_reason_is_kept(ending: str, alice: Actor, events: Callable[[], list[Event]]) -> None:
    ENDINGS[ending](actor=alice, reason="over")
    assert events()[-1].reason == "over"


def test_scaling_within_needs_none(alice: Actor) -> None:
    assert scale_deployment(factories.DeploymentFactory(replicas=2), replicas=1, actor=alice).replicas == 1
