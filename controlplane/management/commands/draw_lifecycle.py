"""``manage.py draw_lifecycle``: the state diagrams of docs/lifecycle.md, drawn from the one table."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils.translation import override

from controlplane import lifecycle

KINDS = (
    lifecycle.ReplicaState, lifecycle.DeploymentState, lifecycle.VersionState, lifecycle.AlertState,
    lifecycle.ExportState,
)  # fmt: skip


def draw() -> str:
    """The whole document, in Markdown with Mermaid diagrams."""
    parts = ["# States\n\nDrawn from `controlplane/lifecycle.py` by `manage.py draw_lifecycle`; do not edit by hand."]
    with override("en"):
        for kind in KINDS:
            moves = [f"    {old} --> {new}" for old in kind for new in kind if new in lifecycle.TRANSITIONS[kind][old]]
            words = " ".join((kind.__doc__ or "").split())
            parts.append(
                "\n".join([f"## {kind.__name__}\n\n{words}\n", "```mermaid", "stateDiagram-v2", *moves, "```"])
            )
    return "\n\n".join(parts) + "\n"


class Command(BaseCommand):
    help = "Draw docs/lifecycle.md from the table of states."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        path = settings.BASE_DIR / "docs" / "lifecycle.md"
        path.write_text(draw(), encoding="utf-8")
        self.stdout.write(str(path))
