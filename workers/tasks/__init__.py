"""What the workers do. Celery brings the message; what is due is decided and claimed in PostgreSQL."""

from . import (
    alerts,
    answers,
    exports,
    guard,
    key_usage,
    nodes,
    publish,
    reconcile,
    register,
    usage,
)

__all__ = [
    "alerts",
    "answers",
    "exports",
    "guard",
    "key_usage",
    "nodes",
    "publish",
    "reconcile",
    "register",
    "usage",
]
