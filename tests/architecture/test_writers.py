"""Nouns are written by actions alone: nothing else calls what writes a model, but for the writers named here."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.test_layout import ROOT, SOURCES

WRITING = {"save", "create", "bulk_create", "update", "bulk_update", "delete", "get_or_create", "update_or_create"}
# Who else writes, and what: never what is desired.
WRITERS = {
    "audit/sealer.py": "seals, and how far each writer's entries are sealed",
    "audit/checkpoints.py": "a copy of each checkpoint",
    "audit/rolling.py": "how far the rolling verification is",
    "workers/register_retention.py": "the signed statement about a month that it drops",
    "workers/sealing.py": "what keeps the sealer from sealing",
    "workers/history.py": "replicas and statuses as observed",
    "workers/reconciler.py": "the row of a deployment whose engines are gone, as its deletion ordered",
    "workers/tasks/nodes.py": "machines as their heartbeat tells of them",
    "controlplane/guard.py": "what the guard counts",
    "workers/exports.py": "how far exports are",
    "workers/tasks/usage.py": "the register rolled up, and how far it is",
    "workers/tasks/register.py": "forgets released texts",
    "workers/tasks/answers.py": "forgets remembered answers",
    "monitoring/rounds.py": "alerts, their history, the state of rules, and the outbox",
    "monitoring/outbox.py": "deliveries, their tries, and broken channels",
    "controlplane/api/idempotency.py": "remembered answers",
    "controlplane/body_keys.py": "the key pairs that contents are encrypted to, when one is first needed",
    "controlplane/attempts.py": "counts failed sign-ins",
    "controlplane/last_seen.py": "when somebody was last seen",
    "controlplane/sessions.py": "browsers' sessions",
    "controlplane/sign_ins.py": "the session of a sign-in, which it records",
    "controlplane/models/identity.py": "QuerySet methods that actions call",
}


def test_only_named_writers_write_models() -> None:
    found = {name for name, path in _control_plane() if _writes(path)}
    assert sorted(found - WRITERS.keys()) == []


def test_every_named_writer_is_one() -> None:
    found = {name for name, path in _control_plane() if _writes(path)}
    assert sorted(WRITERS.keys() - found) == []


def _control_plane() -> Iterator[tuple[str, Path]]:
    for path in SOURCES:
        name = path.relative_to(ROOT).as_posix()
        if name.split("/")[0] in {"controlplane", "monitoring", "workers", "audit"} and "/actions/" not in name:
            yield name, path


def _writes(path: Path) -> bool:
    """A call such as ``row.save()`` or ``Row.objects.filter(…).update(…)``; not ``client.delete(name)`` of Redis."""
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in WRITING
        and _is_of_a_model(node.func)
        for node in ast.walk(ast.parse(path.read_text()))
    )


def _is_of_a_model(called: ast.Attribute) -> bool:
    """``.save()`` is a row's. The rest is a QuerySet's when it hangs on ``objects``, ``all()`` or ``filter(…)``."""
    if called.attr == "save":
        return True
    chain = ast.unparse(called.value)
    return any(part in chain for part in (".objects", ".filter(", ".exclude(", ".expired("))
