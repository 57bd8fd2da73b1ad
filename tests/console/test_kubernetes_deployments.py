"""Deployments in Kubernetes in the console: the form, the options, logs and events."""

from datetime import UTC, datetime

import pytest

from controlplane import replica_sources
from controlplane.models import Deployment
from controlplane.replica_sources import ReplicaEvent, SourceAwayError
from tests.factories import DeploymentFactory, ReplicaFactory, VersionFactory

from .pages import errors, text, url


def _make(console, **fields):
    version = VersionFactory(source="hf:Qwen/Qwen3")
    sent = {
        "name": "qwen3", "version": version.pk, "flavour": "vllm", "backend": "kubernetes", "replicas": "1", **fields,
    }  # fmt: skip
    return console.post(url("controlplane_deployment_add"), sent)


def test_pods_are_ordered_with_their_options(alice_console):
    _make(alice_console, kubernetes='{"node_selector": {"gpu": "h100"}}')
    deployment = Deployment.objects.get()
    assert (deployment.backend, deployment.kubernetes) == ("kubernetes", {"node_selector": {"gpu": "h100"}})


def test_unknown_option_is_refused_at_its_field(alice_console):
    assert "kubernetes" in errors(_make(alice_console, kubernetes='{"imgae": "x"}'))


def test_options_of_pods_do_not_disturb_other_backends(alice_console):
    _make(alice_console, backend="process", kubernetes='{"cpu": "1"}')
    assert Deployment.objects.get().kubernetes == {}


def test_options_are_changed(alice_console):
    deployment = DeploymentFactory(
        backend="kubernetes", flavour="vllm", version=VersionFactory(source="hf:x/y"), kubernetes={"cpu": "1"}
    )
    fields = {"version": deployment.version_id, "served_name": "m", "drain_seconds": "30", "kubernetes": '{"cpu": "2"}'}
    alice_console.post(url("controlplane_deployment_do_change", deployment.pk), fields)
    deployment.refresh_from_db()
    assert deployment.kubernetes == {"cpu": "2"}


@pytest.fixture
def replica():
    return ReplicaFactory(deployment=DeploymentFactory(backend="kubernetes", flavour="vllm", kubernetes={"cpu": "7"}))


def test_page_shows_options_and_events(alice_console, replica):
    page = text(alice_console.get(url("controlplane_deployment_change", replica.deployment_id)))
    assert '"cpu": "7"' in page.replace("&quot;", '"')
    assert f"{replica.name}/events/" in page


def test_events_are_lines(alice_console, replica, monkeypatch):
    class Source:
        def events(self, name):
            return [ReplicaEvent(datetime(2026, 11, 22, 10, tzinfo=UTC), "Warning", "FailedMount", "no disk", 2)]

    monkeypatch.setitem(replica_sources._sources, "kubernetes", Source())
    found = alice_console.get(url("controlplane_deployment_events", replica.deployment_id, replica.name)).json()
    assert found == {"text": "11-22 10:00:00  Warning  FailedMount  no disk  ×2"}


def test_cluster_that_is_away_is_said(alice_console, replica, monkeypatch):
    class Source:
        def events(self, name):
            raise SourceAwayError("renew the kubeconfig")

    monkeypatch.setitem(replica_sources._sources, "kubernetes", Source())
    found = alice_console.get(url("controlplane_deployment_events", replica.deployment_id, replica.name)).json()
    assert found == {"text": "renew the kubeconfig"}
