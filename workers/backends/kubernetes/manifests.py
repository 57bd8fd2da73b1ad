"""The manifests of a replica: one pure function an object. What a server would fill in or write otherwise is left out.

Each is applied by server-side apply, so what stands here is ours and the rest is left alone. The objects of a replica
belong to its Deployment, those of a deployment to the Deployments of all its replicas: Kubernetes deletes them with it.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from controlplane.kubernetes_options import ModelVolume, Options, Toleration, read
from workers.backends.kubernetes import names
from workers.engines import vllm
from workers.engines.spec import ReplicaSpec

Manifest = dict[str, Any]

PORT = 8000
PRE_STOP_SECONDS = 15
"""between a pod's end being ordered and SIGTERM: whoever still has its address sends no request any more by then"""
SPARE_SECONDS = 15
"""after the engine's own drain time, before the kubelet kills it"""
CONTAINER = "vllm"
HOME = "/home/signalbox"
_PROBE = {"httpGet": {"path": "/health", "port": "http"}}
_PARALLEL = ("tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size")


@dataclass(frozen=True)
class Place:
    """Where engines go and who may call them."""

    namespace: str
    callers: Mapping[str, str]
    """labels of the pods that may"""
    callers_namespace: str = ""
    """empty: the engines' own"""
    callers_networks: Sequence[str] = ()


@dataclass(frozen=True)
class Owner:
    """A Deployment that has been made."""

    name: str
    uid: str


def manifests(spec: ReplicaSpec, place: Place, *, environment: Mapping[str, str]) -> list[Manifest]:
    """All objects of one replica, as they are printed. `environment` is what its Secret is to hold."""
    return [
        service_account(spec, place), network_policy(spec, place), pod_disruption_budget(spec, place),
        secret(spec, place, environment), service(spec, place), deployment(spec, place),
    ]  # fmt: skip


def deployment(spec: ReplicaSpec, place: Place) -> Manifest:
    """The engine."""
    options = read(spec.kubernetes or {})
    head = _head("apps/v1", "Deployment", names.object_name(spec.name), spec, place, of_replica=True)
    head["metadata"]["annotations"] = {names.SPEC_HASH: spec.spec_hash}
    labels = head["metadata"]["labels"]
    surge = {"maxSurge": 1, "maxUnavailable": 0} if options.surge else {"maxSurge": 0, "maxUnavailable": 1}
    return head | {
        "spec": {
            "replicas": 1,
            "revisionHistoryLimit": 1,
            "progressDeadlineSeconds": options.startup_seconds + 600,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": surge},
            "selector": {"matchLabels": _selector(spec, of_replica=True)},
            "template": {"metadata": {"labels": dict(labels)}, "spec": _pod(spec, options)},
        }
    }


def service(spec: ReplicaSpec, place: Place) -> Manifest:
    """A name for the replica, for people and for scraping. The gateway balances by itself and uses pods' addresses."""
    ports = [{"name": "http", "port": PORT, "protocol": "TCP", "targetPort": "http"}]
    body = {"clusterIP": "None", "selector": _selector(spec, of_replica=True), "ports": ports}
    return _head("v1", "Service", names.object_name(spec.name), spec, place, of_replica=True) | {"spec": body}


def service_account(spec: ReplicaSpec, place: Place) -> Manifest:
    """An identity without any right and without a token."""
    head = _head("v1", "ServiceAccount", names.object_name(spec.deployment), spec, place)
    return head | {"automountServiceAccountToken": False}


def secret(spec: ReplicaSpec, place: Place, environment: Mapping[str, str]) -> Manifest:
    """The engine's key and the deployment's own environment, in which people hand tokens to engines."""
    head = _head("v1", "Secret", names.object_name(spec.name), spec, place, of_replica=True)
    data = {name: base64.b64encode(value.encode()).decode() for name, value in sorted(environment.items())}
    return head | {"type": "Opaque", "data": data}


def environment(spec: ReplicaSpec) -> dict[str, str]:
    """What the Secret of a replica holds."""
    return dict(spec.engine_env) | {"VLLM_API_KEY": spec.engine_key}


def pod_disruption_budget(spec: ReplicaSpec, place: Place) -> Manifest:
    """Nodes are drained one engine of a deployment after another; one that is broken anyway may always go."""
    head = _head("policy/v1", "PodDisruptionBudget", names.object_name(spec.deployment), spec, place)
    selector = {"matchLabels": _selector(spec)}
    body = {"maxUnavailable": 1, "selector": selector, "unhealthyPodEvictionPolicy": "AlwaysAllow"}
    return head | {"spec": body}


def network_policy(spec: ReplicaSpec, place: Place) -> Manifest:
    """The engine's port is open to the callers only: vLLM guards only some of its paths with the key."""
    head = _head("networking.k8s.io/v1", "NetworkPolicy", names.object_name(spec.deployment), spec, place)
    body: Manifest = {"podSelector": {"matchLabels": _selector(spec)}, "policyTypes": ["Ingress"]}
    if callers := _callers(place):  # a rule from nobody would be one from everybody; without a rule nobody may
        body["ingress"] = [{"from": callers, "ports": [{"port": PORT, "protocol": "TCP"}]}]
    return head | {"spec": body}


def owned(manifest: Manifest, owners: Iterable[Owner]) -> Manifest:
    """The same, belonging to these Deployments."""
    references = [
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": owner.name, "uid": owner.uid}
        for owner in sorted(owners, key=lambda it: it.name)
    ]
    return manifest | {"metadata": manifest["metadata"] | {"ownerReferences": references}}


def gpus(spec: ReplicaSpec) -> int:
    """How many the engine spreads over; none on a CPU."""
    if spec.flavour == "vllm-cpu":
        return 0
    found = 1
    for name in _PARALLEL:
        told = str(spec.engine_args.get(name, 1))  # vLLM takes "4" for 4
        found *= max(1, int(told)) if told.isdecimal() else 1
    return found


def _head(api: str, kind: str, name: str, spec: ReplicaSpec, place: Place, *, of_replica: bool = False) -> Manifest:
    labels = {
        "app.kubernetes.io/name": CONTAINER,
        "app.kubernetes.io/component": "engine",
        **_selector(spec, of_replica=of_replica),
    }
    if of_replica:
        labels[names.SPEC_HASH] = names.short_hash(spec.spec_hash)
    return {
        "apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": place.namespace, "labels": labels},
    }  # fmt: skip


def _selector(spec: ReplicaSpec, *, of_replica: bool = False) -> dict[str, str]:
    found = {names.MANAGED_BY: names.MANAGER, names.DEPLOYMENT: spec.deployment}
    return found | ({names.REPLICA: spec.name} if of_replica else {})


def _callers(place: Place) -> list[Manifest]:
    networks: list[Manifest] = [{"ipBlock": {"cidr": network}} for network in place.callers_networks]
    if not place.callers:
        return networks
    pods: Manifest = {"podSelector": {"matchLabels": dict(place.callers)}}
    if place.callers_namespace:
        pods["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": place.callers_namespace}}
    return [pods, *networks]


def _pod(spec: ReplicaSpec, options: Options) -> Manifest:
    pod: Manifest = {
        "serviceAccountName": names.object_name(spec.deployment),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,  # a Service called vllm would set VLLM_PORT, which vLLM reads
        "terminationGracePeriodSeconds": PRE_STOP_SECONDS + spec.drain_seconds + SPARE_SECONDS,
        "securityContext": _pod_security(options),
        "containers": [_container(spec, options)],
        "volumes": _volumes(options),
    }
    if options.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in options.image_pull_secrets]
    if options.node_selector:
        pod["nodeSelector"] = dict(options.node_selector)
    if options.tolerations:
        pod["tolerations"] = [_toleration(one) for one in options.tolerations]
    return pod


def _toleration(one: Toleration) -> Manifest:
    return {name: value for name, value in msgspec.to_builtins(one).items() if value not in ("", None)}


def _pod_security(options: Options) -> Manifest:
    found: Manifest = {"seccompProfile": {"type": "RuntimeDefault"}}
    if options.run_as_user:
        found |= {"runAsNonRoot": True, "runAsUser": options.run_as_user, "runAsGroup": options.run_as_user}
    return found


def _container(spec: ReplicaSpec, options: Options) -> Manifest:
    own = {name: value for name, value in _own_environment(spec).items() if name not in spec.engine_env}
    container = {
        "name": CONTAINER,
        "image": options.image,
        "command": ["python3", "-m", vllm.MODULE],
        "args": [_literal(word) for word in vllm.arguments(spec, "0.0.0.0", PORT)],  # noqa: S104 - a pod's own  # nosec B104
        # A server leaves an empty value out.
        "env": [{"name": name, "value": value} if value else {"name": name} for name, value in own.items()],
        "envFrom": [{"secretRef": {"name": names.object_name(spec.name)}}],
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "startupProbe": _PROBE
        | {"periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": -(-options.startup_seconds // 10)},
        "readinessProbe": _PROBE | {"periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 3},
        "livenessProbe": _PROBE | {"periodSeconds": 10, "timeoutSeconds": 10, "failureThreshold": 6},
        "lifecycle": {"preStop": {"exec": {"command": ["/bin/sleep", str(PRE_STOP_SECONDS)]}}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": _mounts(options),
    }
    resources = _resources(spec, options)
    return container | ({"resources": resources} if resources else {})


def _literal(word: str) -> str:
    """Kubernetes replaces $(NAME) in arguments; two dollars stand for one."""
    return word.replace("$(", "$$(")


def _own_environment(spec: ReplicaSpec) -> dict[str, str]:
    # A user without an entry in the image's /etc/passwd has neither a home nor a name, and torch asks for both.
    home = {"HOME": HOME, "USER": "signalbox", "LOGNAME": "signalbox", "XDG_CACHE_HOME": f"{HOME}/.cache"}
    return home | vllm.own_environment(spec)


def _resources(spec: ReplicaSpec, options: Options) -> Manifest:
    limits = {"memory": options.memory} if options.memory else {}
    if count := gpus(spec):
        limits[options.gpu_resource] = str(count)
    requests = {name: value for name, value in (("cpu", options.cpu), ("memory", options.memory)) if value}
    return {kind: values for kind, values in (("limits", limits), ("requests", requests)) if values}


def _volumes(options: Options) -> list[Manifest]:
    found: list[Manifest] = [
        {"name": "dshm", "emptyDir": {"medium": "Memory", "sizeLimit": options.shared_memory}},
        {"name": "home", "emptyDir": {}},
    ]
    return [*found, _model_volume(options.model_volume)] if options.model_volume else found


def _model_volume(volume: ModelVolume) -> Manifest:
    if volume.claim:
        return {"name": "models", "persistentVolumeClaim": {"claimName": volume.claim, "readOnly": True}}
    return {"name": "models", "hostPath": {"path": volume.host_path, "type": "Directory"}}


def _mounts(options: Options) -> list[Manifest]:
    found: list[Manifest] = [{"name": "dshm", "mountPath": "/dev/shm"}, {"name": "home", "mountPath": HOME}]  # noqa: S108 - a mount  # nosec B108
    if options.model_volume:
        found.append({"name": "models", "mountPath": options.model_volume.mount_path, "readOnly": True})
    return found
