"""What a deployment that is only drafted would lead to. The workers know; they say so here when they are loaded."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from controlplane.models import Deployment


@dataclass(frozen=True)
class Step:
    """One order of the plan. Steps of one `turn` go out together; the next turn waits for what became of them."""

    turn: int
    order: str
    """start, leave (the gateway's tables), stop, forget or wait"""
    replica: str
    reason: str


@dataclass(frozen=True)
class Preview:
    """What would be done, if all goes well, and what each engine would be told to be."""

    plan: list[Step]
    manifests: list[dict[str, Any]]


Previewer = Callable[[Deployment], Preview]
_previewers: list[Previewer] = []


def register(previewer: Previewer) -> None:
    """Let this one answer from now on."""
    _previewers[:] = [previewer]


def preview(draft: Deployment) -> Preview:
    """The plan for a deployment as drafted. Reads, changes nothing."""
    return _previewers[-1](draft)
