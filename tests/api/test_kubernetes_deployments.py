"""Deployments in Kubernetes over REST: options, refusals by name, the dry run's manifests, events of a replica."""

from datetime import UTC, datetime

import pytest

from controlplane import replica_sources
from controlplane.models import Deployment
from controlplane.replica_sources import ReplicaEvent, SourceAwayError
from tests.factories import DeploymentFactory, ReplicaFactory, VersionFactory

URL = "/api/v1/deployments"


@pytest.fixture
def body():
    version = VersionFactory(source="hf:Qwen/Qwen3")
    return {
        "name": "qwen3", "version": str(version), "backend": "kubernetes", "flavour": "vllm",
        "kubernetes": {"memory": "1024Mi", "surge": True},
    }  # fmt: skip


def test_options_are_kept_in_canonical_form(alice_api, body):
    answer = alice_api.post(URL, body)
    assert answer.status_code == 201, answer.json()
    assert answer.json()["kubernetes"] == {"memory": "1Gi", "surge": True}


def test_options_can_be_changed(alice_api, body):
    pk = alice_api.post(URL, body).json()["id"]
    found = alice_api.patch(f"{URL}/{pk}", {"kubernetes": {"cpu": "4"}}, headers={"If-Match": "*"})
    assert found.json()["kubernetes"] == {"cpu": "4"}, found.json()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kubernetes": {"imgae": "x"}}, "imgae"),
        ({"kubernetes": {"image": "x\u0000y"}}, "image"),
        ({"backend": "process", "kubernetes": {"cpu": "1"}}, "backend kubernetes"),
        ({"flavour": "vllm-cpu"}, "image"),
        ({"name": "Not-A-Label"}, ""),
    ],
)
def test_what_does_not_fit_is_refused(alice_api, body, fields, words):
    answer = alice_api.post(URL, body | fields)
    assert answer.status_code == 400
    assert words in answer.content.decode()
    assert not Deployment.objects.exists()


def test_local_weights_need_a_volume_that_holds_them(alice_api, body):
    body["version"] = str(VersionFactory(source="/models/qwen3"))
    assert "model_volume" in alice_api.post(URL, body).content.decode()
    body["kubernetes"] = {"model_volume": {"claim": "weights"}}
    assert alice_api.post(URL, body).status_code == 201


def test_dry_run_shows_manifests_without_secrets(alice_api, body):
    answer = alice_api.post(f"{URL}?dry_run=true", body | {"engine_env": {"HF_TOKEN": "hf_planted"}})
    kinds = {it["kind"] for it in answer.json()["manifests"]}
    assert kinds == {"ServiceAccount", "NetworkPolicy", "PodDisruptionBudget", "Secret", "Service", "Deployment"}
    assert "aGZfcGxhbnRlZA" not in answer.content.decode()
    assert not Deployment.objects.exists()


class _Source:
    def log(self, name, *, lines):
        return f"log of {name}"

    def events(self, name):
        return [ReplicaEvent(datetime(2026, 11, 22, tzinfo=UTC), "Warning", "FailedScheduling", "no room", 3)]


class _Away:
    def log(self, name, *, lines):
        raise SourceAwayError("the cluster does not answer")

    def events(self, name):
        raise SourceAwayError("the cluster does not answer")


@pytest.fixture
def replica():
    return ReplicaFactory(deployment=DeploymentFactory(backend="kubernetes", flavour="vllm"))


def test_log_and_events_come_from_the_cluster(alice_api, replica, monkeypatch):
    monkeypatch.setitem(replica_sources._sources, "kubernetes", _Source())
    shown = alice_api.get(f"/api/v1/replicas/{replica.pk}").json()
    assert shown["log_tail"] == f"log of {replica.name}"
    assert [(it["reason"], it["count"]) for it in shown["events"]] == [("FailedScheduling", 3)]


def test_cluster_that_is_away_does_not_hide_the_replica(alice_api, replica, monkeypatch):
    monkeypatch.setitem(replica_sources._sources, "kubernetes", _Away())
    shown = alice_api.get(f"/api/v1/replicas/{replica.pk}").json()
    assert (shown["log_tail"], shown["events"]) == ("the cluster does not answer", [])
