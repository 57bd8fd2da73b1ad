"""S3 with a few hundred steps; `make soak` makes 100,000 (tests/proofs)."""

import pytest
from django.db.models import Q
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from redis import Redis

from controlplane.access.lookups import SIGHTS, Sight
from controlplane.roles import Permission
from tests.access.two_projects import Tally, TwoProjects

pytestmark = pytest.mark.django_db
FEW = settings(
    max_examples=8, stateful_step_count=50, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


def test_nobody_is_told_of_the_other_project(redis: Redis) -> None:
    class Machine(TwoProjects):
        tally = Tally()

    run_state_machine_as_test(Machine, settings=FEW)
    assert Machine.tally.across == []
    assert Machine.tally.steps > 50
    # It would prove nothing if everything were refused, or nothing were.
    assert {200, 404} <= set(Machine.tally.answers)


def test_it_would_be_seen(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the first wall gone the machine finds it out."""
    for noun in SIGHTS:
        monkeypatch.setitem(SIGHTS, noun, Sight(Permission.PROJECT_READ, lambda _projects: Q()))

    class Machine(TwoProjects):
        tally = Tally()

    with pytest.raises(AssertionError):
        run_state_machine_as_test(Machine, settings=settings(FEW, phases=[Phase.generate], report_multiple_bugs=False))
    assert Machine.tally.across
