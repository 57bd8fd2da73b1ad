"""A rule that asks for so many requests does not judge fewer: one failed request of one wakes nobody."""

import pytest

from controlplane.actions.create_alert_rule import create_alert_rule
from controlplane.actors import SYSTEM
from controlplane.alerting.presets import PRESETS
from controlplane.errors import Invalid
from controlplane.models import Alert
from monitoring import rounds
from tests import factories
from tests.monitoring.conftest import NOW, Scraped
from tests.monitoring.engine_text import vllm
from tests.monitoring.test_rounds import kv_rule, served

pytestmark = pytest.mark.django_db


@pytest.fixture
def route() -> object:
    return factories.RouteFactory(name="r")


@pytest.mark.parametrize(("well", "failed", "fires"), [(0, 1, False), (18, 1, False), (19, 1, True), (0, 20, True)])
def test_failures_count_from_twenty_requests_on(route: object, well: int, failed: int, fires: bool) -> None:
    kv_rule(metric="failure_rate", aggregation="share", threshold=1, min_requests=20)
    served(("p", "200", well), ("p", "502", failed), ("p", "404", 500))
    rounds.evaluate(NOW)
    assert Alert.objects.exists() is fires


def test_rules_with_different_floors_judge_apart(route: object) -> None:
    kv_rule(name="any", metric="failure_rate", aggregation="share", threshold=1)
    kv_rule(name="many", metric="failure_rate", aggregation="share", threshold=1, min_requests=20)
    served(("p", "502", 3))
    rounds.evaluate(NOW)
    assert Alert.objects.get().rule_name == "any"


@pytest.mark.parametrize(("count", "fires"), [(19, False), (20, True)])
def test_percentiles_count_from_twenty_requests_on(scraped: Scraped, count: int, fires: bool) -> None:
    factories.DeploymentFactory(name="d")
    kv_rule(metric="time_to_first_token", aggregation="p99", threshold=5, min_requests=20)
    scraped("d", "d-0", [vllm(), vllm(first_tokens=[9.0] * count)])
    rounds.evaluate(NOW)
    assert Alert.objects.exists() is fires


def test_metric_that_counts_no_requests_takes_no_floor() -> None:
    with pytest.raises(Invalid, match="counts no requests"):
        create_alert_rule(
            name="r", metric="kv_cache_use", aggregation="avg", threshold=85, min_requests=1, actor=SYSTEM
        )


@pytest.mark.parametrize("preset", [it for it in PRESETS if it.aggregation in {"share", "p99"}], ids=lambda it: it.slug)
def test_shipped_shares_and_percentiles_have_a_floor(preset: object) -> None:
    assert preset.min_requests >= 10
    assert preset.requests
