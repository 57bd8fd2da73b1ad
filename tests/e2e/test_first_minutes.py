"""Somebody's first minutes with the whole product: sign in, see the engine ready, make a key, use it."""

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser import browse
from tests.e2e.running import RunningSignalbox

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.timeout(1200)]

OWN = "a lamp that is my own"


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture
def page(signalbox: RunningSignalbox, complaints: list[str]) -> Iterator[Page]:
    with browse(signalbox.console_url, complaints) as page:
        page.set_default_timeout(30_000)
        yield page


def sign_in(page: Page, signalbox: RunningSignalbox) -> None:
    page.goto("/")
    page.get_by_label("Username").fill(signalbox.credentials["SIGNALBOX_ADMIN_USER"])
    page.get_by_label("Password").fill(signalbox.credentials["SIGNALBOX_ADMIN_PASSWORD"])
    page.get_by_test_id("login-submit").click()


def replace_password(page: Page, signalbox: RunningSignalbox) -> None:
    expect(page.get_by_test_id("page-title")).to_have_text("Choose your own password")
    page.locator("#id_old_password").fill(signalbox.credentials["SIGNALBOX_ADMIN_PASSWORD"])
    page.locator("#id_new_password1").fill(OWN)
    page.locator("#id_new_password2").fill(OWN)
    page.get_by_test_id("password-submit").click()
    expect(page.get_by_test_id("page-title")).to_have_text("Overview")


def test_first_minutes(page: Page, signalbox: RunningSignalbox, complaints: list[str]) -> None:
    sign_in(page, signalbox)
    replace_password(page, signalbox)

    with signalbox.api() as api:
        deployment = api.get("/deployments").json()["results"][0]["id"]
    page.goto(f"/console/controlplane/deployment/{deployment}/")
    expect(page.get_by_test_id("replica-0").locator("[data-state]")).to_have_attribute("data-state", "ready")
    expect(page.get_by_test_id("log-text-0")).to_contain_text("vLLM")

    page.goto("/console/controlplane/apikey/add/")
    page.locator("[name=name]").fill("from the browser")
    page.get_by_test_id("submit").click()
    key = page.get_by_test_id("secret").inner_text().strip()
    time.sleep(1)
    answer = signalbox.ask(key=key)
    assert "Paris" in answer.json()["choices"][0]["message"]["content"]

    page.goto(f"/console/audit/event/?q={answer.headers['x-request-id']}")
    expect(page.locator("#result_list")).to_contain_text("inference.chat")
    assert complaints == []
