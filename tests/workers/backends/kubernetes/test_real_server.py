"""The backend on a real kube-apiserver with its controllers and scheduler. Not collected without one: see conftest."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.waiting import until
from tests.workers.backends.kubernetes.pods import pod_spec
from tests.workers.backends.kubernetes.real_server import RealServer, namespace_of_our_own
from workers.backends.base import BackendError, Fence, Obstacle, Phase, Trouble
from workers.backends.kubernetes.backend import KubernetesBackend
from workers.engines.spec import ReplicaSpec

pytestmark = pytest.mark.timeout(300)
TOLERATIONS = [
    {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "pool", "operator": "Equal", "value": "llm", "effect": "NoExecute", "tolerationSeconds": 30},
]
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "quantities": {"cpu": "0.5", "memory": "1024Mi", "shared_memory": "2048Mi"},
    "odd quantities": {"cpu": "1500m", "memory": "1.5Gi", "shared_memory": "1e9"},
    "placed": {"node_selector": {"gpu": "h100"}, "tolerations": TOLERATIONS, "image_pull_secrets": ["b", "a"]},
    "claim": {"model_volume": {"claim": "models"}, "surge": True},
    "host path": {"model_volume": {"host_path": "/srv/models"}, "run_as_user": 0},
    "other GPU": {"gpu_resource": "huawei.com/Ascend910", "startup_seconds": 95},
}


@pytest.fixture(scope="module")
def server() -> Iterator[RealServer]:
    with namespace_of_our_own() as found:
        yield found


def make(backend: KubernetesBackend, spec: ReplicaSpec, fence: Fence = Fence()) -> None:  # noqa: B008 - it is frozen
    """Paused, then all that its pod needs; twice is enough."""
    backend.apply(spec, fence=fence)
    backend.apply(spec, fence=fence)


def changed(before: dict[Any, Any], after: dict[Any, Any]) -> list[Any]:
    return [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)]


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_applying_again_changes_nothing(server: RealServer, options: dict[str, Any], request: Any) -> None:
    name = request.node.callspec.id.replace(" ", "-").lower()
    spec = pod_spec(
        options, name=f"{name}-0", deployment=name, engine_args={"tensor-parallel-size": 2, "max-model-len": 4096},
        engine_env={"HF_TOKEN": "hf_$(x)", "EMPTY": ""},
    )  # fmt: skip
    make(server.backend(), spec, Fence(3))
    before = server.settled(name)
    assert len(before) == 6
    for _ in range(2):
        server.backend().apply(spec, fence=Fence(3))
    assert changed(before, server.settled(name)) == []


def test_longest_names_are_taken(server: RealServer) -> None:
    name = "n" * 50
    make(server.backend(), pod_spec(name=f"{name}-99", deployment=name))
    assert len(server.objects(name)) == 6


def test_what_others_add_stays_and_what_they_change_is_put_right(server: RealServer) -> None:
    spec = pod_spec(name="mended-0", deployment="mended")
    make(server.backend(), spec)
    server.label("sb-mended-0", {"team": "a", "app.kubernetes.io/name": "x"})
    server.backend().apply(spec)
    now = server.all_seeing.get("Service", "sb-mended-0")["metadata"]["labels"]
    assert (now["team"], now["app.kubernetes.io/name"]) == ("a", "vllm")


def test_objects_of_two_replicas_go_with_the_last(server: RealServer) -> None:
    backend = server.backend()
    for number in range(2):
        make(backend, pod_spec(name=f"pair-{number}", deployment="pair"))
    server.backend().apply(pod_spec(name="pair-0", deployment="pair"))  # it now knows of the other one
    backend.delete("pair-0")
    until(lambda: len(server.objects("pair")) == 6)
    assert ("ServiceAccount", "sb-pair") in server.objects("pair")
    backend.delete("pair-1")
    until(lambda: not server.objects("pair"))


def test_changed_replica_is_made_anew(server: RealServer) -> None:
    backend = server.backend()
    make(backend, pod_spec(name="anew-0", deployment="anew"))
    old = server.all_seeing.get("Deployment", "sb-anew-0")["metadata"]["uid"]
    other = pod_spec(name="anew-0", deployment="anew", engine_args={"seed": 7})
    until(lambda: backend.apply(other) or "paused" not in _spec(server, "sb-anew-0", but=old))
    assert len(server.settled("anew")) == 6


def _spec(server: RealServer, name: str, *, but: str) -> Any:
    found = server.all_seeing.get("Deployment", name)
    return found["spec"] if found and found["metadata"]["uid"] != but else {"paused": True}


def test_pod_that_fits_nowhere_says_so_and_one_that_runs_has_an_address(server: RealServer) -> None:
    backend, spec = server.backend(), pod_spec({"node_selector": {"no": "such"}}, name="sick-0", deployment="sick")
    make(backend, spec)
    until(lambda: server.pods("sick"))
    until(lambda: _status(backend).trouble is Trouble.UNSCHEDULABLE)
    assert [it.reason for it in backend.events("sick-0")]
    before = server.settled("sick")
    server.run_pod(server.pods("sick")[0])
    until(lambda: _status(backend).trouble is None)
    assert _status(backend).phase is Phase.RUNNING
    server.backend().apply(spec)
    after = server.settled("sick")
    assert [it for it in changed(before, after) if it[0] not in {"Deployment", "PodDisruptionBudget"}] == []


def _status(backend: KubernetesBackend) -> Any:
    return next(it for it in backend.observe() if it.name == "sick-0")


def test_who_was_outranked_writes_nothing(server: RealServer) -> None:
    spec = pod_spec(name="led-0", deployment="led")
    make(server.backend(), spec, Fence(5))
    before = server.settled("led")
    with pytest.raises(BackendError) as caught:
        server.backend().delete("led-0", fence=Fence(4))
    assert caught.value.reason is Obstacle.OUTRANKED
    assert changed(before, server.settled("led")) == []


def use_everything(server: RealServer, name: str) -> None:
    """Whatever the backend ever asks for."""
    backend, spec = server.backend(), pod_spec(name=f"{name}-0", deployment=name)
    make(backend, spec)
    until(lambda: server.pods(name))
    until(lambda: any(it.trouble for it in backend.observe() if it.name == spec.name))  # for which events are read
    server.backend().apply(spec)
    backend.log(spec.name, lines=10)
    backend.events(spec.name)
    backend.delete(spec.name, grace_seconds=3)


def test_role_suffices_and_no_right_is_too_much(server: RealServer) -> None:
    granted = server.rights()
    use_everything(server, "whole")
    pairs = [(place, one) for place, rule in enumerate(granted) for one in rule.verbs]
    needless = []
    for number, (place, verb) in enumerate(pairs):
        rules = [rule.to_dict() for rule in granted]
        rules = [{"apiGroups": it["api_groups"], "resources": it["resources"], "verbs": it["verbs"]} for it in rules]
        rules[place]["verbs"] = [it for it in rules[place]["verbs"] if it != verb]
        if rules[place]["resources"] == ["pods/log"]:
            continue  # a log that may not be read is none
        server.allow([it for it in rules if it["verbs"]])
        try:
            use_everything(server, f"less-{number}")
            needless.append((granted[place].resources, verb))
        except BackendError as exc:
            assert exc.reason is Obstacle.FORBIDDEN  # noqa: PT017 - which right is missing is known
    server.allow([{"apiGroups": it.api_groups, "resources": it.resources, "verbs": it.verbs} for it in granted])
    assert needless == []
