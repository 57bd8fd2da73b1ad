"""S3: 100,000 random steps of people of two projects, through the management API, the console, the gateway's tables."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from redis import Redis

from tests.access.two_projects import Tally, TwoProjects
from tests.proofs.proof import Proof

pytestmark = pytest.mark.django_db
STEPS = 100_000
A_RUN = settings(
    max_examples=20, stateful_step_count=200, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.proof("S3", seconds=7200, small=False)
def test_nobody_reads_across_projects(proof: Proof, redis: Redis) -> None:
    class Machine(TwoProjects):
        tally = Tally()

    while Machine.tally.steps < STEPS and not proof.is_over(f"{Machine.tally.steps:,} of {STEPS:,} steps"):
        run_state_machine_as_test(Machine, settings=A_RUN)
    tally = Machine.tally
    answers = ", ".join(f"{count:,} × {code}" for code, count in sorted(tally.answers.items()))
    proof.show(
        f"random steps in two projects ({answers}): reads across", counted=tally.steps, bar="0",
        measured=len(tally.across), held=not tally.across,
    )  # fmt: skip
    assert tally.across == []
