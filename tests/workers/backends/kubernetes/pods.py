"""Specifications of pods for tests."""

from typing import Any

from tests.workers.specs import spec
from workers.backends.kubernetes.manifests import Place
from workers.engines.spec import ReplicaSpec

PLACE = Place("engines", {"app.kubernetes.io/part-of": "signalbox"})


def pod_spec(options: dict[str, Any] | None = None, **fields: Any) -> ReplicaSpec:
    told = {"image": "vllm/vllm-openai:v0.32.0"} | (options or {})
    return spec(**{"flavour": "vllm", "external_url": "", "kubernetes": told} | fields)
