"""Every page works in a real browser under the policy that each answer carries: nothing is refused or missed."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib import admin
from django.db import connections
from playwright.sync_api import Page, expect

from controlplane.models import ManagementToken, User
from tests import factories
from tests.browser import browse
from tests.console.conftest import browser_of
from tests.console.pages import url

pytestmark = pytest.mark.browser


@pytest.fixture
def complaints() -> list[str]:
    """What the browser refused or missed, and requests that left for another host."""
    return []


@pytest.fixture
def page(live_server, complaints, monkeypatch, transactional_db) -> Iterator[Page]:
    # Playwright keeps an event loop in this thread, which Django would take for an async view.
    monkeypatch.setitem(os.environ, "DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    alice = factories.UserFactory(username="alice", is_staff=True, is_superuser=True)
    cookie = browser_of(alice).cookies[settings.SESSION_COOKIE_NAME].value
    with browse(live_server.url, complaints) as page:
        page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])
        yield page
        connections.close_all()


@pytest.fixture
def paths(page: Page) -> list[str]:
    """One page of every kind: lists, forms, single objects, and those that are no list of nouns."""
    replica = factories.ReplicaFactory(deployment__engine_env={"A": "1"})
    factories.TargetFactory(route__name="chat", deployment=replica.deployment)
    key, alice = factories.ApiKeyFactory(), User.objects.get()
    ManagementToken.objects.create(user=alice, name="t", digest="d")
    node, used = factories.NodeFactory(gpus=[{"name": "g"}]), factories.UsageFactory()
    pages = {f"{model._meta.app_label}_{model._meta.model_name}": page for model, page in admin.site._registry.items()}
    lists = [url(f"{name}_changelist") for name in pages]
    forms = [url(f"{name}_add") for name, page in pages.items() if getattr(page, "add_form", None)]
    single = [
        url("controlplane_deployment_change", replica.deployment_id), url("controlplane_apikey_change", key.pk),
        url("controlplane_deployment_do_change", replica.deployment_id), url("controlplane_user_change", alice.pk),
        url("controlplane_apikey_do_revoke", key.pk), url("controlplane_node_change", node.pk),
        url("controlplane_usage_change", used.pk),
    ]  # fmt: skip
    return [url("index"), url("playground"), url("password_change"), *lists, *forms, *single]


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_nothing_is_refused(
    live_server: Any, page: Page, paths: list[str], complaints: list[str], language: str
) -> None:
    page.context.add_cookies([{"name": settings.LANGUAGE_COOKIE_NAME, "value": language, "url": live_server.url}])
    for path in paths:
        answer = page.goto(path, wait_until="load")
        assert answer is not None
        assert (path, answer.status) == (path, 200)
        assert page.locator("html").get_attribute("lang") == language, path
        assert "script-src 'self'" in answer.headers["content-security-policy"], path
    assert complaints == []


def test_colours_and_menus_are_there(page: Page, complaints: list[str]) -> None:
    """Unfold's colours come from a stylesheet of ours, its menus from Alpine."""
    page.goto(url("index"))
    colour = page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--color-primary-600')")
    assert colour.strip() == settings.UNFOLD["COLORS"]["primary"]["600"]
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--color-base-900')").strip()
    expect(page.get_by_test_id("page-title")).to_be_visible()
    assert page.evaluate("window.Alpine !== undefined && document.querySelector('[x-cloak]') === null")
    assert complaints == []


def test_everything_that_opens_can_be_opened(page: Page, paths: list[str], complaints: list[str]) -> None:
    """Menus, sheets and switches of Unfold: what Alpine evaluates and styles when they are clicked."""
    clicked = 0
    for path in (url("index"), url("audit_event_changelist"), url("controlplane_apikey_changelist")):
        page.goto(path, wait_until="load")
        clicked += page.evaluate(
            """() => {
                const all = [...document.querySelectorAll("*")];
                const found = all.filter((it) => it.hasAttribute("x-on:click") && it.tagName !== "A");
                for (const it of found) it.click();
                return found.length;
            }"""
        )
        page.wait_for_timeout(200)
    assert clicked > 10
    assert complaints == []


def test_script_in_a_page_is_not_run(page: Page, complaints: list[str]) -> None:
    """What somebody managed to put into a page does not run, and the tests above would hear of it."""
    page.goto(url("index"))
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.planted = 1";
            document.body.append(script);
            const image = document.createElement("img");
            image.setAttribute("onerror", "window.planted = 2");
            image.src = "/nowhere.png";
            document.body.append(image);
        }"""
    )
    page.wait_for_timeout(300)
    assert page.evaluate("window.planted") is None
    assert any("Content Security Policy" in it for it in complaints)


def test_sign_in_page_needs_nothing_else(page: Page, complaints: list[str]) -> None:
    page.context.clear_cookies()
    page.goto(url("login"))
    expect(page.get_by_test_id("login-submit")).to_be_visible()
    assert complaints == []
