"""The console's pages, one file a noun. Lists are Django admin's; what changes something is a form with an action."""

from controlplane.admin import (
    access,
    alerts,
    channels,
    deployments,
    exports,
    holds,
    limits,
    models,
    nodes,
    projects,
    roles,
    routes,
    suspensions,
    usage,
    users,
)

__all__ = [
    "access",
    "alerts",
    "channels",
    "deployments",
    "exports",
    "holds",
    "limits",
    "models",
    "nodes",
    "projects",
    "roles",
    "routes",
    "suspensions",
    "usage",
    "users",
]
