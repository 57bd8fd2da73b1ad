"""Options of pods: unknown ones are refused by name, quantities are kept as a Kubernetes API server writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.errors import Invalid
from controlplane.kubernetes_options import canonical, checked


def refusal(options: object) -> str:
    with pytest.raises(Invalid) as caught:
        checked(options)
    assert caught.value.field == "kubernetes"
    return caught.value.message


def test_nothing_is_needed() -> None:
    assert checked({}) == {}


def test_what_is_given_is_kept() -> None:
    options = {
        "image": "registry.example:5000/team/vllm:v1@sha256:" + "a" * 64, "cpu": "500m", "surge": True,
        "model_volume": {"claim": "models", "mount_path": "/weights"}, "node_selector": {"example.com/gpu": "h100"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    }  # fmt: skip
    assert checked(options) == options


def test_default_is_not_kept() -> None:
    assert checked({"shared_memory": "16Gi", "surge": False}) == {}


@pytest.mark.parametrize(
    ("given_", "kept"),
    [("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"), ("1000m", "1"), ("0.5", "500m"), ("1000M", "1G"), ("16", "16"),
     ("0.5Ki", "512")],
)  # fmt: skip
def test_quantity_is_canonical(given_: str, kept: str) -> None:
    assert canonical("memory", given_) == kept


@given(st.integers(1, 10_000), st.sampled_from(["m", "", "k", "M", "G", "Ki", "Mi", "Gi"]))
def test_canonical_stays_as_it_is(number: int, unit: str) -> None:
    once = canonical("memory", f"{number}{unit}")
    assert canonical("memory", once) == once


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"imgae": "x"}, "imgae"),
        ({"model_volume": {"claim": "m", "size": 1}}, "size"),
        ({"tolerations": [{"key": "a", "Value": "b"}]}, "Value"),
        ({"cpu": 4}, "cpu"),
        ({"surge": "yes"}, "surge"),
        ({"a\ud800": 1}, "ud800"),
    ],
)
def test_unknown_or_of_another_kind_is_refused_by_name(options: dict[str, object], named: str) -> None:
    assert named in refusal(options)


@pytest.mark.parametrize(
    "image",
    ["vllm\n", "vllm\x00", "a b", "a/UPPER", "x:", "x@sha256:abc", "-x", "x:tag:tag", "a" * 600, "镜像", "vllm\u202e",
     "https://example.com/x", "x;reboot", "$(id)"],
)  # fmt: skip
def test_image_that_is_no_reference_is_refused(image: str) -> None:
    assert refusal({"image": image}).startswith("image: ")


@pytest.mark.parametrize(
    "options",
    [
        {"cpu": "-1"}, {"cpu": "4 "}, {"cpu": "0"}, {"memory": "1e3"}, {"memory": "999999999999Pi"}, {"cpu": "0.0001"},
        {"shared_memory": ""}, {"memory": "1Zi"}, {"image_pull_secrets": ["A B"]}, {"image_pull_secrets": ["x\n"]},
        {"node_selector": {"": "x"}}, {"node_selector": {"a": "b c"}}, {"node_selector": {"x/y/z": "b"}},
        {"tolerations": [{}]}, {"tolerations": [{"key": "a", "operator": "exists"}]},
        {"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]},
        {"tolerations": [{"key": "a", "tolerationSeconds": 5}]}, {"tolerations": [{"key": "a"}] * 51},
        {"gpu_resource": "nvidia.com/"}, {"run_as_user": -1}, {"startup_seconds": 1},
        {"model_volume": {}}, {"model_volume": {"claim": "a", "host_path": "/b"}},
        {"model_volume": {"host_path": "/../etc"}}, {"model_volume": {"host_path": "etc"}},
        {"model_volume": {"claim": "a", "mount_path": "/"}}, {"model_volume": {"claim": "../a"}}, [], None,
    ],
)  # fmt: skip
def test_what_kubernetes_would_refuse_is_refused_here(options: object) -> None:
    assert refusal(options)
