"""`render`: the manifests of a deployment as YAML, without its secrets."""

import json

import kubernetes_validate
import pytest
import yaml

from tests.commands.run import run
from tests.factories import DeploymentFactory, VersionFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def deployment() -> None:
    made = DeploymentFactory.build(
        name="qwen3", version=VersionFactory(source="hf:Qwen/Qwen3"), backend="kubernetes", flavour="vllm", replicas=2
    )
    made.engine_env = {"SOME_VARIABLE": "planted-value"}
    made.save()


def test_objects_are_printed_once_each() -> None:
    ran = run("render", "qwen3")
    assert (ran.status, ran.err) == (0, "")
    objects = list(yaml.safe_load_all(ran.out))
    kinds = [it["kind"] for it in objects]
    assert (kinds.count("Deployment"), kinds.count("Secret"), kinds.count("PodDisruptionBudget")) == (2, 2, 1)
    for it in objects:
        kubernetes_validate.validate(it, "1.36", strict=True)


def test_secrets_are_hidden_unless_asked_for() -> None:
    hidden, told = run("render", "qwen3").out, run("render", "qwen3", "--with-secrets").out
    planted = "cGxhbnRlZC12YWx1ZQ=="
    assert planted not in hidden
    assert planted in told


def test_json_holds_the_same() -> None:
    answer = json.loads(run("render", "qwen3", "--json").out)
    assert answer["manifests"] == list(yaml.safe_load_all(run("render", "qwen3").out))


def test_what_is_not_there_is_said() -> None:
    ran = run("render", "nobody")
    assert (ran.status, ran.out) == (1, "")
    assert "nobody" in ran.err


def test_deployment_elsewhere_has_no_manifests() -> None:
    DeploymentFactory(name="here")
    assert "does not run in Kubernetes" in run("render", "here").err
