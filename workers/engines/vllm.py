"""vLLM's command line and environment for a replica. Pure: a spec goes in, text comes out."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workers.engines.spec import ReplicaSpec

MODULE = "vllm.entrypoints.openai.api_server"  # the CPU wheel has no metadata, so the `vllm` command does not work
KV_CACHE_GIB = 1
PASSED_ON = (
    "HF_ENDPOINT", "HF_TOKEN", "HF_HOME", "HF_HUB_CACHE", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy",
    "http_proxy", "no_proxy", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "MODELSCOPE_CACHE", "CUDA_VISIBLE_DEVICES",
    "LD_LIBRARY_PATH", "CUDA_HOME", "LANG", "TZ", "TMPDIR",
)  # fmt: skip

_QUIET_PATHS = "/health,/metrics,/load"
_CPU_ENVIRONMENT = {
    "VLLM_TARGET_DEVICE": "cpu",
    "VLLM_CPU_KVCACHE_SPACE": str(KV_CACHE_GIB),
    "CUDA_VISIBLE_DEVICES": "",
    # vLLM pins its threads to fixed cores and keeps one for itself: on a small shared machine the scheduler does
    # better, and a second replica would be pinned to the very same cores.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}
_CPU_DEFAULTS: dict[str, Any] = {
    "max-model-len": 2048,
    "gpu-memory-utilization": 0.3,
    "enforce-eager": True,  # compiling takes a minute of every start and gains little on a CPU
}


def is_local(source: str) -> bool:
    return source.startswith("/")


def argv(spec: ReplicaSpec, python: Path, port: int) -> list[str]:
    """The command. Nothing secret is in it: everybody on the machine may read it."""
    return [str(python), "-m", MODULE, *arguments(spec, "127.0.0.1", port)]


def arguments(spec: ReplicaSpec, host: str, port: int) -> list[str]:
    """vLLM's flags, for an engine that listens there."""
    own: dict[str, Any] = {
        "model": _model(spec.source),
        "served-model-name": spec.served_name,
        "host": host,
        "port": port,
    }
    defaults: dict[str, Any] = dict(_CPU_DEFAULTS) if spec.flavour == "vllm-cpu" else {}
    if _in_one_process(spec):
        defaults["distributed-executor-backend"] = "uni"
    # The load is counted by the API server itself, so it tells of requests that wait for an engine that hangs.
    defaults |= {"disable-access-log-for-endpoints": _QUIET_PATHS, "enable-server-load-tracking": True}
    if spec.max_model_len:
        defaults["max-model-len"] = spec.max_model_len
    if spec.drain_seconds:
        defaults["shutdown-timeout"] = spec.drain_seconds
    flags = own | defaults | dict(spec.engine_args) | own
    return [word for name, value in flags.items() for word in _flag(name, value)]


def environment(
    spec: ReplicaSpec, python: Path, machine: Mapping[str, str], *, threads: int, preload: str = ""
) -> dict[str, str]:
    """The whole environment of the engine: what it needs of the machine's, ours, the deployment's, then its key.

    `threads` are for computing on a CPU; `preload` is a library for LD_PRELOAD (an OpenMP that is faster than torch's).
    """
    found = {name: machine[name] for name in PASSED_ON if name in machine}
    found |= {"PATH": f"{python.parent}:/usr/local/bin:/usr/bin:/bin", "HOME": machine.get("HOME", "/")}
    found |= own_environment(spec)
    if spec.flavour == "vllm-cpu":
        found |= {"OMP_NUM_THREADS": str(threads)} | ({"LD_PRELOAD": preload} if preload else {})
    return found | dict(spec.engine_env) | {"VLLM_API_KEY": spec.engine_key}


def own_environment(spec: ReplicaSpec) -> dict[str, str]:
    """What every engine of ours is told, wherever it runs."""
    found = {
        "PYTHONUNBUFFERED": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0",  # an allowed media host must not lead the engine to another one
        "VLLM_CONFIGURE_LOGGING": "1",
    }
    if spec.flavour == "vllm-cpu":
        found |= _CPU_ENVIRONMENT
    if _is_eager(spec):
        # vLLM compiles some helpers all the same, when they are first needed: the first request for log probabilities
        # holds up all others for 10 s.
        found["TORCHDYNAMO_DISABLE"] = "1"
    if _in_one_process(spec):
        # Without this vLLM puts even a single worker into a process of its own on a CPU, and torch is imported three
        # times instead of twice: 10 s of every start and 600 MB on a small machine.
        found["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    if is_local(spec.source):
        found["HF_HUB_OFFLINE"] = "1"
    if spec.source.startswith("modelscope:"):
        found["VLLM_USE_MODELSCOPE"] = "True"
    return found


def memory_needed(spec: ReplicaSpec, weights_bytes: int) -> int:
    """Bytes of memory that a CPU engine takes: its weights, its KV cache, and what Python and torch take themselves."""
    try:
        kv_cache = float(spec.engine_env.get("VLLM_CPU_KVCACHE_SPACE") or KV_CACHE_GIB)
    except ValueError:
        kv_cache = KV_CACHE_GIB  # vLLM will refuse it with a word of its own
    return weights_bytes + int((kv_cache + 1.5) * 1024**3)


def _in_one_process(spec: ReplicaSpec) -> bool:
    """A CPU engine whose model is not split over several workers."""
    split = any(name.endswith("-parallel-size") and value != 1 for name, value in spec.engine_args.items())
    return spec.flavour == "vllm-cpu" and not split and "distributed-executor-backend" not in spec.engine_args


def _is_eager(spec: ReplicaSpec) -> bool:
    """A CPU engine that is to compile nothing."""
    return spec.flavour == "vllm-cpu" and bool((_CPU_DEFAULTS | dict(spec.engine_args))["enforce-eager"])


def _model(source: str) -> str:
    for scheme in ("hf:", "modelscope:"):
        if source.startswith(scheme):
            return source.removeprefix(scheme)
    return source


def _flag(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    if isinstance(value, dict | list):
        return [f"--{name}", json.dumps(value)]
    return [f"--{name}", str(value)]
