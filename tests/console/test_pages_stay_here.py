"""No page loads anything from another host, and none of our own carries a script in its text."""

import re
from pathlib import Path

import pytest

from tests.factories import DeploymentFactory, RouteFactory

from .pages import text, url

ROOT = Path(__file__).resolve().parents[2]
LOADED = re.compile(r"""<(?:script|link|img|iframe|form)\b[^>]*?\b(?:src|href|action)=["']?((?:https?:)?//[^"'\s>]+)""")


@pytest.mark.parametrize(
    "page",
    ["index", "playground", "password_change", "audit_event_changelist"]
    + [f"controlplane_{noun}_changelist" for noun in ("model", "deployment", "route", "apikey", "project", "user")]
    + [f"controlplane_{noun}_add" for noun in ("model", "deployment", "route", "apikey", "project", "user")],
)
def test_page_loads_from_here_only(page, alice_console):
    DeploymentFactory(), RouteFactory()
    assert LOADED.findall(text(alice_console.get(url(page)))) == []


@pytest.mark.parametrize("path", sorted((ROOT / "templates").rglob("*.html")), ids=lambda path: path.name)
def test_template_has_no_script_in_its_text(path):
    found = path.read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)", found)
    assert not re.search(r"\son[a-z]+=", found)


@pytest.mark.parametrize("path", sorted((ROOT / "config/static").rglob("*.*")), ids=lambda path: path.name)
def test_static_file_names_no_host(path):
    found = re.findall(r"https?://[^\"'\s)]+", path.read_text().replace("%2F", "/"))
    assert [it for it in found if "www.w3.org" not in it] == []


@pytest.mark.parametrize("name", ["icon.svg", "console.css", "console.js", "live.js", "playground.js", "plain.css"])
def test_static_file_is_found(name):
    from django.contrib.staticfiles import finders

    assert finders.find(f"signalbox/{name}")


def test_missing_page_is_tidy(alice_console):
    answer = alice_console.get("/console/nowhere/")
    assert answer.status_code == 404
    assert "There is nothing here" in text(answer)


def test_refused_page_is_tidy(vera_console):
    assert "You may not see this" in text(vera_console.get(url("audit_event_changelist")))
