"""One person's first minutes, in a real browser: nothing else shows that scripts, styles and pages fit together."""

import os
from collections.abc import Iterator

import pytest
from django.db import connections
from playwright.sync_api import Page, expect

from controlplane.models import Replica, User
from tests.browser import browse
from tests.factories import ProjectFactory, ReplicaFactory

pytestmark = pytest.mark.browser

ONE_TIME, OWN = "one-time lamp 77", "a lamp that is my own"


@pytest.fixture
def complaints() -> list[str]:
    """What the browser complained about, and requests that left for another host."""
    return []


@pytest.fixture
def page(live_server, complaints, monkeypatch) -> Iterator[Page]:
    # Playwright keeps an event loop in this thread, which Django would take for an async view.
    monkeypatch.setitem(os.environ, "DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    with browse(live_server.url, complaints) as page:
        yield page
        connections.close_all()  # the test's own, which Django keeps apart from those outside this loop


def _sign_in(page: Page) -> None:
    User.objects.create_user("dora", password=ONE_TIME, is_staff=True, is_superuser=True, must_change_password=True)
    page.goto("/")
    page.get_by_label("Username").fill("dora")
    page.get_by_label("Password").fill(ONE_TIME)
    page.get_by_test_id("login-submit").click()
    expect(page.get_by_test_id("page-title")).to_have_text("Choose your own password")
    page.locator("#id_old_password").fill(ONE_TIME)
    page.locator("#id_new_password1").fill(OWN)
    page.locator("#id_new_password2").fill(OWN)
    page.get_by_test_id("password-submit").click()
    expect(page.get_by_test_id("page-title")).to_have_text("Overview")


def test_first_minutes(page, complaints):
    ProjectFactory(name="default")
    replica = ReplicaFactory(deployment__name="qwen", name="qwen-0", ordinal=0, state="starting")
    _sign_in(page)

    page.goto(f"/console/controlplane/deployment/{replica.deployment_id}/")
    lamp = page.get_by_test_id("replica-0").locator("[data-state]")
    expect(lamp).to_have_attribute("data-state", "starting")
    expect(page.get_by_test_id("log-text-0")).to_contain_text("No log on this machine")
    Replica.objects.update(state="ready")
    expect(lamp).to_have_attribute("data-state", "ready")  # without a reload

    page.goto("/console/controlplane/apikey/add/")
    page.locator("[name=name]").fill("notebook")
    page.get_by_test_id("submit").click()
    expect(page.get_by_test_id("secret")).to_contain_text("sbx_")

    page.goto("/console/")
    page.get_by_test_id("language-zh-hans").click()
    expect(page.get_by_test_id("page-title")).to_have_text("概览")
    assert complaints == []
