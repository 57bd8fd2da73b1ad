"""Specifications for tests."""

from dataclasses import replace
from typing import Any

from workers.engines.spec import ReplicaSpec

BASE = ReplicaSpec(
    name="web-0", deployment="web", flavour="vllm-cpu", source="/models/m", served_name="m", engine_key="secret-key",
    drain_seconds=5, external_url="http://10.0.0.5:8000", kubernetes={"image": "vllm/vllm-openai:v0.32.0"},
)  # fmt: skip


def spec(**fields: Any) -> ReplicaSpec:
    return replace(BASE, **fields)
