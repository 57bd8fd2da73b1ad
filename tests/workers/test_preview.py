"""The foreseen plan is the reconciler's own, followed to its end; nothing is changed by asking."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.lifecycle import ReplicaState
from controlplane.models import Deployment, Replica
from tests import factories
from tests.workers.specs import spec
from workers.backends.base import Phase
from workers.plan import Desired, Observed, Reason, Wanted
from workers.preview import foresee, manifest, preview

NOW = datetime(2026, 11, 1, tzinfo=UTC)
READY = ReplicaState.READY


def want(count: int, spec_hash: str = "new", **fields: bool) -> Desired:
    return Desired([Wanted(f"a-{number}", spec_hash) for number in range(count)], **fields)


def running(number: int, spec_hash: str = "old") -> Observed:
    return Observed(f"a-{number}", READY, Phase.RUNNING, spec_hash, NOW - timedelta(hours=1))


def told(desired: Desired, observed: list[Observed]) -> list[tuple[str, str, str]]:
    return [(step.order, step.replica, step.reason) for step in foresee(desired, observed, NOW)]


def test_new_deployment_starts_all() -> None:
    assert told(want(2), []) == [("start", "a-0", "missing"), ("start", "a-1", "missing")]


def test_scaling_down_ends_the_surplus_only() -> None:
    steps = told(want(1, "old"), [running(0), running(1)])
    assert [step[:2] for step in steps] == [("leave", "a-1"), ("wait", "a-0"), ("stop", "a-1"), ("forget", "a-1")]


def test_change_replaces_one_after_another() -> None:
    steps = [step[:2] for step in told(want(2), [running(0), running(1)]) if step[0] != "wait"]
    assert steps == [
        ("leave", "a-0"), ("stop", "a-0"), ("start", "a-0"), ("leave", "a-1"), ("stop", "a-1"), ("start", "a-1"),
    ]  # fmt: skip


def test_what_waits_is_told_once() -> None:
    waiting = [step for step in told(want(2), [running(0), running(1)]) if step[0] == "wait"]
    assert waiting == [("wait", "a-1", Reason.OTHERS_NOT_READY)]


def test_no_change_is_no_plan() -> None:
    assert told(want(1, "old"), [running(0)]) == [("wait", "a-0", "running")]


def test_end_ends_all() -> None:
    steps = told(Desired([], deleted=True), [running(0)])
    assert [step[0] for step in steps] == ["leave", "stop", "forget"]
    assert steps[0][2] == Reason.DEPLOYMENT_DELETED


states = st.builds(
    Observed,
    name=st.sampled_from([f"a-{number}" for number in range(4)]),
    state=st.sampled_from(ReplicaState),
    phase=st.sampled_from([*Phase, None]),
    spec_hash=st.sampled_from(["old", "new", ""]),
    since=st.timedeltas(timedelta(0), timedelta(hours=1)).map(lambda ago: NOW - ago),
    retry_at=st.none() | st.timedeltas(timedelta(0), timedelta(minutes=1)).map(lambda later: NOW + later),
)


@given(st.lists(states, max_size=4, unique_by=lambda it: it.name), st.integers(0, 4), st.booleans())
def test_every_plan_comes_to_an_end(observed: list[Observed], count: int, deleted: bool) -> None:
    desired = Desired([], deleted=True) if deleted else want(count)
    steps = foresee(desired, observed, NOW)
    by_name = {it.name for it in observed}
    assert len(steps) <= 8 * (len(by_name) + count) + len(by_name) + count
    begun = {step.replica for step in steps if step.order == "start"}
    assert begun <= {wish.name for wish in desired.replicas}
    kept = {it.name for it in observed if it.phase is Phase.RUNNING and it.spec_hash == "new"}
    assert {wish.name for wish in desired.replicas} <= begun | kept


@pytest.mark.django_db
def test_draft_leaves_no_trace() -> None:
    draft = Deployment(
        name="blue", version=factories.VersionFactory(), served_name="m", replicas=2, engine_args={"seed": 7}
    )
    seen = preview(draft)
    assert [step.replica for step in seen.plan] == ["blue-0", "blue-1"]
    assert "--seed" in seen.manifests[0]["arguments"]
    assert (Deployment.objects.count(), Replica.objects.count()) == (0, 0)


@pytest.mark.django_db
def test_row_as_it_runs_needs_nothing() -> None:
    deployment = factories.DeploymentFactory(name="blue")
    asked = preview(deployment)
    factories.ReplicaFactory(deployment=deployment, ordinal=0, spec_hash=asked.manifests[0]["spec_hash"])
    assert [(step.order, step.reason) for step in preview(deployment).plan] == [("wait", "running")]


def test_manifest_tells_no_secret() -> None:
    told = manifest(spec())
    assert "secret-key" not in str(told)
    assert not {"--port", "--host"} & set(told["arguments"])


def test_manifest_of_an_external_engine_is_its_address() -> None:
    assert manifest(spec(flavour="external"))["url"] == "http://10.0.0.5:8000"
