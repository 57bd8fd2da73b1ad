"""The manifests: valid by Kubernetes' own schemas, and what vLLM needs."""

import base64
from typing import Any

import kubernetes_validate
import pytest

from tests.workers.backends.kubernetes.pods import PLACE, pod_spec
from workers.backends.kubernetes import manifests as m
from workers.engines.spec import ReplicaSpec

FULL = {
    "image_pull_secrets": ["registry"], "node_selector": {"gpu": "h100"}, "cpu": "8", "memory": "64Gi",
    "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}, {"key": "a", "value": "b"}],
    "model_volume": {"claim": "models"}, "startup_seconds": 605, "surge": True,
}  # fmt: skip
SPECS = {
    "plain": pod_spec(),
    "full": pod_spec(FULL, engine_args={"tensor-parallel-size": 4}, engine_env={"HF_TOKEN": "hf_x"}),
    "cpu": pod_spec({"run_as_user": 0}, flavour="vllm-cpu"),
    "node's directory": pod_spec({"model_volume": {"host_path": "/srv/models"}}),
    "downloads": pod_spec(source="hf:Qwen/Qwen3-32B"),
}
PLACES = [
    PLACE,
    m.Place("engines", {"a": "b"}, "signalbox", ["10.0.0.0/8", "fd00::/8"]),
    m.Place("engines", {}, "", ["10.0.0.0/8"]),
    m.Place("engines", {}),
]


def pod(spec: ReplicaSpec) -> dict[str, Any]:
    found: dict[str, Any] = m.deployment(spec, PLACE)["spec"]["template"]["spec"]
    return found


def container(spec: ReplicaSpec) -> dict[str, Any]:
    return pod(spec)["containers"][0]


@pytest.mark.parametrize("name", SPECS)
def test_manifests_are_valid(name: str) -> None:
    spec = SPECS[name]
    made = m.manifests(spec, PLACE, environment=m.environment(spec))
    for manifest in made:
        kubernetes_validate.validate(m.owned(manifest, [m.Owner("sb-web-0", "u-1")]), "1.36", strict=True)
    assert [it["kind"] for it in made] == [
        "ServiceAccount", "NetworkPolicy", "PodDisruptionBudget", "Secret", "Service", "Deployment",
    ]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_network_policy_is_valid_everywhere(place: m.Place) -> None:
    kubernetes_validate.validate(m.network_policy(pod_spec(), place), "1.36", strict=True)


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in _leaves(item)] or [value]
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item)] or [value]
    return [value]


@pytest.mark.parametrize("name", SPECS)
def test_nothing_empty_stands_in_them(name: str) -> None:
    """A server leaves empty texts, lists and false out: applied again they would seem to be changes."""
    spec = SPECS[name]
    empty = [
        leaf
        for manifest in m.manifests(spec, PLACE, environment=m.environment(spec))
        for leaf in _leaves(manifest)
        if leaf in ("", None, []) or leaf == {}
    ]
    assert empty == [{}], "but for the emptyDir"


def test_same_spec_same_manifests() -> None:
    assert m.deployment(pod_spec(FULL), PLACE) == m.deployment(pod_spec(FULL), PLACE)


@pytest.mark.parametrize(
    ("args", "count"),
    [({}, "1"), ({"tensor-parallel-size": 4}, "4"), ({"tensor-parallel-size": 2, "pipeline-parallel-size": 2}, "4"),
     ({"tensor-parallel-size": "four"}, "1"), ({"tensor-parallel-size": "2"}, "2"), ({"tensor-parallel-size": 0}, "1")],
)  # fmt: skip
def test_gpus_are_what_the_engine_spreads_over(args: dict[str, Any], count: str) -> None:
    assert container(pod_spec(engine_args=args))["resources"]["limits"] == {"nvidia.com/gpu": count}


def test_other_vendors_gpu() -> None:
    assert container(pod_spec({"gpu_resource": "huawei.com/Ascend910"}))["resources"]["limits"] == {
        "huawei.com/Ascend910": "1"
    }


def test_cpu_engine_takes_no_gpu() -> None:
    assert "resources" not in container(SPECS["cpu"])


def test_arguments_come_from_version_and_deployment() -> None:
    args = container(pod_spec(source="hf:Qwen/Qwen3-32B", max_model_len=4096, engine_args={"seed": 7}))["args"]
    told = {name: args[args.index(name) + 1] for name in ("--model", "--max-model-len", "--seed", "--port")}
    assert list(told.values()) == ["Qwen/Qwen3-32B", "4096", "7", "8000"]


def test_argument_is_taken_literally() -> None:
    args = container(pod_spec(engine_args={"chat-template": "$(VLLM_API_KEY)"}))["args"]
    assert "$$(VLLM_API_KEY)" in args


@pytest.mark.parametrize("drain", [0, 5, 600])
def test_grace_is_longer_than_all_that_comes_before(drain: int) -> None:
    spec = pod_spec(drain_seconds=drain)
    slept = int(container(spec)["lifecycle"]["preStop"]["exec"]["command"][1])
    args = container(spec)["args"]
    told = int(args[args.index("--shutdown-timeout") + 1]) if drain else 0
    assert (slept, told) == (15, drain)
    assert pod(spec)["terminationGracePeriodSeconds"] > slept + told


def test_probes_give_a_big_model_its_time() -> None:
    found = container(SPECS["full"])
    startup = found["startupProbe"]
    assert startup["failureThreshold"] * startup["periodSeconds"] >= 605
    assert {found[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")} == {
        "/health"
    }


def test_shared_memory_lies_in_memory() -> None:
    assert {"name": "dshm", "emptyDir": {"medium": "Memory", "sizeLimit": "16Gi"}} in pod(SPECS["plain"])["volumes"]
    assert {"name": "dshm", "mountPath": "/dev/shm"} in container(SPECS["plain"])["volumeMounts"]


def test_models_are_read_only() -> None:
    (mount,) = [it for it in container(SPECS["full"])["volumeMounts"] if it["name"] == "models"]
    assert mount == {"name": "models", "mountPath": "/models", "readOnly": True}


def test_secrets_stand_in_the_secret_only() -> None:
    spec = pod_spec(engine_key="the-key", engine_env={"HF_TOKEN": "the-token"})
    made = m.secret(spec, PLACE, m.environment(spec))
    assert base64.b64decode(made["data"]["VLLM_API_KEY"]) == b"the-key"
    assert base64.b64decode(made["data"]["HF_TOKEN"]) == b"the-token"
    assert not {"the-key", "the-token"} & {str(leaf) for leaf in _leaves(m.deployment(spec, PLACE))}


def test_deployments_own_variables_win() -> None:
    env = [it["name"] for it in container(pod_spec(engine_env={"VLLM_NO_USAGE_STATS": "0"}))["env"]]
    assert "VLLM_NO_USAGE_STATS" not in env, "a Secret's would lose against it"


def test_engine_has_no_privileges() -> None:
    found = pod(SPECS["plain"])
    assert found["securityContext"]["runAsNonRoot"] is True
    assert found["automountServiceAccountToken"] is False
    assert container(SPECS["plain"])["securityContext"] == {
        "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip


def test_image_that_needs_root_may_have_it() -> None:
    assert "runAsNonRoot" not in pod(SPECS["cpu"])["securityContext"]


@pytest.mark.parametrize(("surge", "expected"), [(False, (0, 1)), (True, (1, 0))])
def test_surge_needs_spare_gpus(surge: bool, expected: tuple[int, int]) -> None:
    rolling = m.deployment(pod_spec({"surge": surge}), PLACE)["spec"]["strategy"]["rollingUpdate"]
    assert (rolling["maxSurge"], rolling["maxUnavailable"]) == expected


def test_engine_port_is_open_to_the_callers_only() -> None:
    policy = m.network_policy(pod_spec(), m.Place("engines", {"a": "b"}, "front", ["10.1.0.0/16"]))["spec"]
    assert policy["policyTypes"] == ["Ingress"]
    (rule,) = policy["ingress"]
    assert rule["ports"] == [{"port": 8000, "protocol": "TCP"}]
    assert rule["from"] == [
        {"podSelector": {"matchLabels": {"a": "b"}},
         "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "front"}}},
        {"ipBlock": {"cidr": "10.1.0.0/16"}},
    ]  # fmt: skip


def test_without_callers_nobody_gets_in() -> None:
    assert "ingress" not in m.network_policy(pod_spec(), m.Place("engines", {}))["spec"]


def test_selector_does_not_change_with_the_spec() -> None:
    one, other = pod_spec(), pod_spec(served_name="other")
    assert m.deployment(one, PLACE)["spec"]["selector"] == m.deployment(other, PLACE)["spec"]["selector"]
    assert one.spec_hash != other.spec_hash


@pytest.mark.parametrize("fields", [{"drain_seconds": 77}, {"options": {"cpu": "1"}}, {"options": {"image": "x"}}])
def test_what_stands_in_the_pod_is_in_the_hash(fields: dict[str, Any]) -> None:
    assert pod_spec(**fields).spec_hash != pod_spec().spec_hash
