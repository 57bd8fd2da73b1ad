"""A real browser for the tests that need one: Chromium of the system, or Playwright's own where that is installed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Error, Page, expect, sync_playwright

ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
)  # fmt: skip
PATIENCE_MS = 30_000
"""on a machine that has much else to do"""
HOW = "no Chromium: install your system's chromium package, or run `.venv/bin/playwright install chromium`"


@contextmanager
def browse(base_url: str, complaints: list[str]) -> Iterator[Page]:
    """A page; what the browser complains about, and requests that leave for another host, are put into `complaints`.

    Without a browser the test is skipped, except where SIGNALBOX_TESTS_NEVER_SKIP is set, as in CI: there it fails.
    """
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(ARGUMENTS))
        except Error as exc:
            if os.environ.get("SIGNALBOX_TESTS_NEVER_SKIP") or "Executable doesn't exist" not in str(exc):
                raise
            pytest.skip(HOW)
        expect.set_options(timeout=PATIENCE_MS)
        page = browser.new_page(locale="en-US", base_url=base_url)
        page.on("console", lambda it: complaints.append(it.text) if it.type in {"error", "warning"} else None)
        page.on("pageerror", lambda it: complaints.append(str(it)))
        page.on("request", lambda it: None if it.url.startswith(base_url) else complaints.append(it.url))
        try:
            yield page
        finally:
            browser.close()
