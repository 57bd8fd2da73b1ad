"""A namespace of a real cluster, with the Role that is shipped: for whoever has a kube-apiserver to try it against.

SIGNALBOX_TEST_KUBECONFIG names a kubeconfig of somebody who may do everything there. See docs/kubernetes.md.
"""

import contextlib
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config, utils

from workers.backends.kubernetes.api import PATHS, Api, Object
from workers.backends.kubernetes.backend import KubernetesBackend
from workers.backends.kubernetes.manifests import Place

RBAC = Path(__file__).parents[4] / "deploy" / "kubernetes" / "rbac.yaml"
KUBECONFIG = os.environ.get("SIGNALBOX_TEST_KUBECONFIG", "")
PATIENCE = 120.0
"""seconds, for what controllers do in their own time"""
WRITTEN = tuple(kind for kind in PATHS if kind not in {"Pod", "Event"})


@dataclass
class RealServer:
    """`all_seeing` may do everything, `backend()` what the Role allows."""

    namespace: str
    all_seeing: Api = field(init=False)
    token: str = field(init=False)

    def __post_init__(self) -> None:
        self.all_seeing = Api(_client, self.namespace)
        core = client.CoreV1Api(_client())
        core.create_namespace({"metadata": {"name": self.namespace}})
        documents = list(yaml.safe_load_all(RBAC.read_text()))
        for document in documents:
            utils.create_from_dict(_client(), document, namespace=self.namespace)
        request = client.AuthenticationV1TokenRequest(spec={"audiences": [], "expirationSeconds": 3600})
        self.token = core.create_namespaced_service_account_token("signalbox", self.namespace, request).status.token

    def backend(self) -> KubernetesBackend:
        """As one that has just been started, with the rights of the Role."""
        place = Place(
            self.namespace, {"app.kubernetes.io/part-of": "signalbox"}, "signalbox", ["10.0.0.0/8", "fd00::/8"]
        )  # fmt: skip
        return KubernetesBackend(Api(lambda: _client(self.token), self.namespace), place, chance=lambda: 0.0)

    def rights(self) -> list[Object]:
        return list(client.RbacAuthorizationV1Api(_client()).read_namespaced_role("signalbox", self.namespace).rules)

    def allow(self, rules: list[Object]) -> None:
        client.RbacAuthorizationV1Api(_client()).patch_namespaced_role("signalbox", self.namespace, {"rules": rules})
        time.sleep(1)  # the server's authoriser hears of it through a watch

    def objects(self, deployment: str) -> dict[tuple[str, str], Object]:
        """All that stands there of a deployment, by kind and name."""
        label = f"signalbox.dev/deployment={deployment}"
        return {
            (kind, it["metadata"]["name"]): it for kind in WRITTEN for it in self.all_seeing.list(kind, labels=label)
        }

    def pods(self, deployment: str) -> list[Object]:
        return self.all_seeing.list("Pod", labels=f"signalbox.dev/deployment={deployment}")

    def settled(self, deployment: str) -> dict[tuple[str, str], Object]:
        """The same once the controllers have written what they write: nothing changes for three seconds."""
        known, since, until = self.objects(deployment), time.monotonic(), time.monotonic() + PATIENCE
        while time.monotonic() - since < 3 and time.monotonic() < until:
            time.sleep(0.5)
            if (now := self.objects(deployment)) != known:
                known, since = now, time.monotonic()
        return known

    def label(self, service: str, labels: dict[str, str]) -> None:
        """As somebody else does it by hand."""
        body = {"metadata": {"labels": labels}}
        client.CoreV1Api(_client()).patch_namespaced_service(
            service, self.namespace, body, field_manager="kubectl-edit"
        )

    def run_pod(self, pod: Object, **status: Any) -> None:
        """What the kubelet would tell of it."""
        well = [{"type": name, "status": "True"} for name in ("PodScheduled", "Initialized", "Ready")]
        told = {"phase": "Running", "podIP": "10.0.0.9", "conditions": well} | status
        name = pod["metadata"]["name"]
        client.CoreV1Api(_client()).patch_namespaced_pod_status(name, self.namespace, {"status": told})


@contextlib.contextmanager
def namespace_of_our_own() -> Iterator[RealServer]:
    made = RealServer(f"signalbox-{uuid.uuid4().hex[:8]}")
    try:
        yield made
    finally:
        client.CoreV1Api(_client()).delete_namespace(made.namespace)


def _client(token: str = "") -> client.ApiClient:
    configuration = client.Configuration()
    config.load_kube_config(config_file=KUBECONFIG, client_configuration=configuration, persist_config=False)
    configuration.retries = False
    if token:
        configuration.api_key = {"authorization": f"Bearer {token}", "BearerToken": f"Bearer {token}"}
        configuration.refresh_api_key_hook = configuration.cert_file = configuration.key_file = None
    return client.ApiClient(configuration)
