"""Every path and method of the console process, read off the URLconf, with the policy that its view declares."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from django.contrib import admin
from django.urls import URLPattern, URLResolver, get_resolver

from controlplane.admin.base import ConsoleAdmin
from controlplane.roles import Permission

API, CONSOLE = "api/v1/", "console/"


class Route(NamedTuple):
    """A path as the URLconf writes it, and its view."""

    path: str
    name: str
    view: Any


class Operation(NamedTuple):
    """A method on a path of the API, and what its view says that it needs; `own`: nothing, on one's own things."""

    method: str
    path: str
    noun: str
    detail: bool
    needed: Permission | None
    own: bool


def routes() -> list[Route]:
    return list(_flat(get_resolver().url_patterns, ""))


def _flat(patterns: Any, prefix: str) -> Iterator[Route]:
    for it in patterns:
        path = prefix + str(it.pattern)
        if isinstance(it, URLResolver):
            yield from _flat(it.url_patterns, path)
        else:
            assert isinstance(it, URLPattern)
            yield Route(path, it.name or "", it.callback)


def operations() -> list[Operation]:
    """Those of the API's nouns."""
    found = []
    for route in routes():
        view = getattr(route.view, "cls", None)
        if not route.path.startswith(API) or not hasattr(view, "permissions"):
            continue
        path = route.path.removeprefix(API)
        noun = path.split("/<")[0].removesuffix("/others").removesuffix("/facets").removesuffix("/totals")
        for method, action in route.view.actions.items():
            needed, own = view.permissions.get(action), action in getattr(view, "own", ())
            found.append(Operation(method, path, noun, "<" in path, Permission(needed) if needed else None, own))
    return found


def filled(path: str, key: Any) -> str:
    """The path with the object's key in its place."""
    return "/api/v1/" + re.sub(r"<[^>]+>", str(key), path, count=1)


def pages() -> dict[str, Permission | None]:
    """The console's pages of nouns by the names of their paths, with what they need."""
    found: dict[str, Permission | None] = {}
    for model, page in admin.site._registry.items():
        noun = f"{model._meta.app_label}_{model._meta.model_name}"
        for pattern in page.get_urls():
            assert pattern.name
            found[pattern.name] = _needed(page, pattern.name.removeprefix(f"{noun}_"))
    return found


def _needed(page: Any, suffix: str) -> Permission | None:
    if not isinstance(page, ConsoleAdmin):
        return (
            Permission.AUDIT_READ
        )  # the register's own pages: they are below this floor and ask through `audit.guard`
    if suffix == "add":
        return page.add_permission
    if suffix.startswith("do_"):
        return next(verb.permission for verb in page.verbs if suffix == f"do_{verb.name}")
    return page.read_permission
