"""Which of an engine's options are secrets: they lie sealed in the database, and are shown to nobody again."""

import re
from collections.abc import Mapping
from typing import Any

from controlplane.models import Deployment
from controlplane.sealing import Unopenable

HIDDEN = "•••"
"""stands for a value that is there; sent back, it means: leave it as it is"""

_NAME = re.compile(
    r"(^|[-_])(key|token|secret|pass|passphrase|auth|bearer|cookie|credentials?|dsn)($|[-_])"
    r"|(apikey|password|passwd|secret)s?$",
    re.IGNORECASE,
)
_VALUE = re.compile(r"\A(hf_|sk-|ghp_|gho_|eyJ|xox[bap]-|AKIA)|://[^/@\s]*:[^/@\s]*@|-----BEGIN [A-Z ]*PRIVATE KEY")

# Settings of engines and of what they are built on: all else may be a secret under any name.
_SETTING = re.compile(
    r"\A((CUBLAS|CUDA|GLOO|HF|HIP|HSA|KMP|MKL|NCCL|NUMEXPR|NVIDIA|NVTE|OMP|PYTORCH|RAY|ROCM|TOKENIZERS|TORCH|TORCHINDUCTOR"
    r"|TRANSFORMERS|TRITON|UCX|VLLM)_[A-Z0-9_]+|CC|CXX|LANG|LC_ALL|LOG_LEVEL|NO_PROXY|TZ)\Z"
)


def is_secret(name: str, value: object = "") -> bool:
    """Whether an option is named like a secret, or looks like one."""
    return bool(_NAME.search(name) or (isinstance(value, str) and _VALUE.search(value)))


def shown(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with their secrets hidden."""
    return {name: HIDDEN if is_secret(name, value) else value for name, value in options.items()}


def shown_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Environment variables: of those that are known to be settings the values, of all others the names only."""
    return {
        name: value if _SETTING.search(name) and not is_secret(name, value) else HIDDEN
        for name, value in variables.items()
    }


def shown_env(deployment: Deployment) -> dict[str, str]:
    """Its environment as `shown_variables`. Nothing while the master key is not there: the doctor says so."""
    try:
        return shown_variables(deployment.engine_env)
    except Unopenable:
        return {}


def kept(sent: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """What was sent, with what was there in the place of `HIDDEN`. What was not there stays hidden, and is refused."""
    return {name: before.get(name, value) if value == HIDDEN else value for name, value in sent.items()}
