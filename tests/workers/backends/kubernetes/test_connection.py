"""The way into the cluster: a kubeconfig that is missing, broken, expired or renewed."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.workers.backends.kubernetes.cluster import Cluster, failure
from tests.workers.backends.kubernetes.pods import PLACE
from workers.backends.base import BackendError, Obstacle
from workers.backends.kubernetes.api import Api
from workers.backends.kubernetes.backend import KubernetesBackend
from workers.backends.kubernetes.connection import connect


def _kubeconfig(url: str, token: str) -> str:
    return yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": "c", "user": "u"}} for name in ("here", "there")],
    })  # fmt: skip


@pytest.fixture
def file(tmp_path: Path, settings: Any) -> Path:
    path = tmp_path / "kubeconfig"
    settings.KUBECONFIG = str(path)
    return path


@pytest.fixture
def backend(file: Path) -> KubernetesBackend:
    """On the kubeconfig, with a clock that never lets it rest."""
    return KubernetesBackend(Api(connect, PLACE.namespace), PLACE, clock=iter(range(0, 100_000, 100)).__next__)


def _refusal(backend: KubernetesBackend) -> BackendError:
    with pytest.raises(BackendError) as caught:
        backend.observe()
    return caught.value


@pytest.mark.parametrize("text", [None, "", "{", "[]", "clusters: 5", "apiVersion: v1\nkind: Config\n", "\x00"])
def test_kubeconfig_that_cannot_be_used_is_said(text: str | None, file: Path, backend: KubernetesBackend) -> None:
    if text is not None:
        file.write_text(text)
    error = _refusal(backend)
    assert error.reason is Obstacle.CREDENTIALS
    assert "KUBECONFIG" in str(error)


def test_unknown_context_is_said(file: Path, backend: KubernetesBackend, settings: Any) -> None:
    settings.KUBERNETES_CONTEXT = "nowhere"
    file.write_text(_kubeconfig("http://127.0.0.1:1", "t"))
    assert "nowhere" in str(_refusal(backend))


def test_expired_token_is_said_and_the_renewed_one_is_found(
    file: Path, backend: KubernetesBackend, cluster: Cluster
) -> None:
    cluster.refuse = lambda it: (
        None if it.headers.get("Authorization") == "Bearer fresh" else failure(401, "Unauthorized")
    )
    file.write_text(_kubeconfig(cluster.url_text, "stale"))
    assert _refusal(backend).reason is Obstacle.CREDENTIALS
    file.write_text(_kubeconfig(cluster.url_text, "fresh"))
    assert backend.observe() == []


def test_token_is_never_told(file: Path, backend: KubernetesBackend, cluster: Cluster) -> None:
    cluster.refuse = lambda _: failure(401, "Unauthorized")
    file.write_text(_kubeconfig(cluster.url_text, "planted-token"))
    assert "planted-token" not in str(_refusal(backend)) + repr(backend)


def test_tls_that_does_not_fit_is_said(file: Path, backend: KubernetesBackend, cluster: Cluster) -> None:
    file.write_text(_kubeconfig(cluster.url_text.replace("http:", "https:"), "t"))
    assert "cluster" in str(_refusal(backend))
