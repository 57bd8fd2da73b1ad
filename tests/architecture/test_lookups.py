"""Views, pages and forms look things up by who asks (`controlplane.access`), never in the models themselves."""

import ast
from collections import Counter
from pathlib import Path

from django.contrib import admin

from audit.models import Event
from controlplane.access.lookups import SIGHTS
from controlplane.admin.base import ConsoleAdmin
from controlplane.api.urls import router
from tests.architecture.test_layout import ROOT, SOURCES

ASKED_FROM_OUTSIDE = (
    "controlplane/api/", "controlplane/admin/", "controlplane/forms/", "controlplane/views/", "controlplane/site.py",
    "controlplane/templatetags/", "audit/api.py", "audit/admin.py", "audit/filters.py", "audit/listing.py",
    "audit/story.py", "audit/finding.py",
)  # fmt: skip
# How often a file asks a model itself, and why nothing of another project can come of it.
WITH_REASON = {
    "controlplane/api/authentication.py": (2, "who asks is not known yet: by the digest of what they hold"),
    "controlplane/api/idempotency.py": (1, "by the actor's own id"),
    "controlplane/api/identity.py": (2, "narrow rows that were looked up before"),
    "controlplane/api/api_keys.py": (1, "the limits of keys that were looked up before"),
    "controlplane/api/routes.py": (1, "the targets of routes that were looked up before"),
    "audit/api.py": (1, "seals hold nothing of any project"),
    "audit/listing.py": (1, "nor do months that were dropped"),
    "controlplane/views/password.py": (1, "one's own row"),
}
MANAGERS = {"objects", "_default_manager", "_base_manager"}


def uses(path: Path) -> int:
    """How often a manager is asked for anything but nothing."""
    tree = ast.parse(path.read_text())
    nothing = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "none"
    }  # fmt: skip
    return sum(
        isinstance(node, ast.Attribute) and node.attr in MANAGERS and id(node) not in nothing for node in ast.walk(tree)
    )


def test_only_look_ups_by_actor() -> None:
    found = Counter({
        name: count
        for path in SOURCES
        if (name := path.relative_to(ROOT).as_posix()).startswith(ASKED_FROM_OUTSIDE) and (count := uses(path))
    })  # fmt: skip
    assert dict(found) == {name: count for name, (count, _why) in WITH_REASON.items()}


def test_the_rule_would_see_it(tmp_path: Path) -> None:
    page = tmp_path / "page.py"
    page.write_text("ApiKey.objects.all()\nmodel._default_manager.get(pk=1)\nApiKey.objects.none()\n")
    assert uses(page) == 2


def test_every_view_and_page_uses_it() -> None:
    for _prefix, view, _name in router.registry:
        noun = getattr(view, "noun", None)
        assert noun in SIGHTS or view.__name__ in {"Events", "Requests", "Roles", "Seals"}, view
        assert "queryset" not in vars(view) or view.__name__ == "Roles", view
    for model, page in admin.site._registry.items():
        assert (isinstance(page, ConsoleAdmin) and model in SIGHTS) or model is Event, model
