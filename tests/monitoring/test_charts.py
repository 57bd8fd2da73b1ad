"""Charts of a deployment: drawn from its samples, without a script."""

from typing import Any

import pytest
from django.utils import timezone

from monitoring import charts
from tests import factories
from tests.console.conftest import alice_console, nothing_remembered  # noqa: F401 - the fixtures
from tests.monitoring.conftest import Scraped
from tests.monitoring.engine_text import vllm

pytestmark = pytest.mark.django_db


def test_nothing_scraped_draws_nothing() -> None:
    assert charts.draw(factories.DeploymentFactory(name="d")) == []


def test_lines_come_from_the_samples(scraped: Scraped) -> None:
    deployment = factories.DeploymentFactory(name="d")
    texts = [vllm(first_tokens=[0.3] * step, kv_use=0.5, waiting=7, tokens=150 * step) for step in range(1, 9)]
    scraped("d", "d-0", texts, until=timezone.now())
    drawn = charts.draw(deployment)
    assert len(drawn) == 5
    assert all("<svg" in chart and "<script" not in chart and "style=" not in chart for chart in drawn)
    assert "7" in drawn[2]
    assert "50 %" in drawn[3]
    assert "M" in drawn[1]
    assert "10/s" in drawn[1]


def test_page_shows_them(scraped: Scraped, alice_console: Any) -> None:  # noqa: F811
    deployment = factories.DeploymentFactory(name="d")
    scraped("d", "d-0", [vllm(kv_use=0.5)] * 3, until=timezone.now())
    for path in ("", "charts/"):
        page = alice_console.get(f"/console/controlplane/deployment/{deployment.pk}/{path}").content.decode()
        assert page.count("<figure") == 5


def test_gap_is_no_zero() -> None:
    assert charts._path([1.0, None, 1.0], 1.0).count("M") == 2
