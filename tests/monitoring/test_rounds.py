"""One tick in the database: from samples to alerts, their history and the outbox."""

from datetime import datetime, timedelta
from unittest.mock import Mock

import pytest
from django.db import connection
from django.utils import timezone

from audit.seal_models import Verification
from controlplane.actions.change_alert_rule import change_alert_rule
from controlplane.actions.delete_alert_rule import delete_alert_rule
from controlplane.actors import SYSTEM
from controlplane.models import Alert, AlertRuleStatus, AlertTransition, Notice
from monitoring import rounds
from monitoring.samples import write
from monitoring.scrape import Answer
from monitoring.targets import Target
from monitoring.vocabulary import Reading
from tests import factories
from tests.audit.seals import event
from tests.audit.seals import write as write_events
from tests.monitoring.conftest import NOW, Scraped
from tests.monitoring.engine_text import vllm

pytestmark = pytest.mark.django_db


def kv_rule(**fields: object) -> object:
    return factories.AlertRuleFactory(**({"for_seconds": 0, "keep_firing_seconds": 0} | fields))


@pytest.fixture
def deployment() -> object:
    return factories.DeploymentFactory(name="d", project=factories.ProjectFactory(name="p"))


def test_from_breach_to_recovery(scraped: Scraped, deployment: object) -> None:
    rule = kv_rule(for_seconds=15, keep_firing_seconds=15, window_seconds=30)
    factories.ChannelFactory()
    for number, use in enumerate([0.9, 0.9, 0.9, 0.1, 0.1, 0.1, 0.1]):
        at = NOW + timedelta(seconds=15 * number)
        scraped("d", "d-0", [vllm(kv_use=use)], until=at)
        rounds.evaluate(at)
    alert = Alert.objects.get()
    moves = list(AlertTransition.objects.order_by("at").values_list("old_state", "new_state"))
    assert moves == [
        ("inactive", "pending"), ("pending", "firing"), ("firing", "recovering"), ("recovering", "inactive"),
    ]  # fmt: skip
    assert list(Notice.objects.order_by("id").values_list("kind", flat=True)) == ["firing", "resolved"]
    assert (alert.rule, alert.subject, alert.project.name) == (rule, "d-0", "p")
    assert alert.ended_at is not None
    assert alert.value == pytest.approx(10.0)


def test_tick_is_done_once(scraped: Scraped, deployment: object) -> None:
    kv_rule()
    scraped("d", "d-0", [vllm(kv_use=0.9)])
    assert rounds.evaluate(NOW)
    assert rounds.evaluate(NOW) is None
    assert rounds.evaluate(NOW - timedelta(seconds=15)) is None
    assert AlertTransition.objects.count() == 1


def test_who_dies_in_a_tick_leaves_it_to_the_next(
    scraped: Scraped, deployment: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    kv_rule()
    factories.ChannelFactory()
    scraped("d", "d-0", [vllm(kv_use=0.9)])
    whole = rounds._write_statuses
    monkeypatch.setattr(rounds, "_write_statuses", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        rounds.evaluate(NOW)
    monkeypatch.setattr(rounds, "_write_statuses", whole)
    assert not Alert.objects.exists()
    assert rounds.evaluate(NOW)
    assert (Alert.objects.count(), Notice.objects.count()) == (1, 1)


def test_percentile_is_of_all_replicas_together(scraped: Scraped, deployment: object) -> None:
    kv_rule(metric="time_to_first_token", aggregation="p99", threshold=5)
    scraped("d", "d-0", [vllm(), vllm(first_tokens=[0.1] * 95)])
    scraped("d", "d-1", [vllm(), vllm(first_tokens=[9.0] * 5)])
    rounds.evaluate(NOW)
    alert = Alert.objects.get()
    assert (alert.subject_kind, alert.subject) == ("deployment", "d")
    assert 7.5 < alert.value <= 10


def test_idle_deployment_is_well(scraped: Scraped, deployment: object) -> None:
    kv_rule(metric="time_to_first_token", aggregation="p99", threshold=5, window_seconds=60)
    scraped("d", "d-0", [vllm(), vllm(first_tokens=[9.0] * 5)])
    rounds.evaluate(NOW)
    later = NOW + timedelta(minutes=5)
    scraped("d", "d-0", [vllm(first_tokens=[9.0] * 5)] * 3, until=later)
    rounds.evaluate(later)
    assert Alert.objects.get().state == "inactive"


def test_no_data_is_not_success(scraped: Scraped, deployment: object) -> None:
    kv_rule()
    scraped("d", "d-0", [vllm(kv_use=0.9)])
    rounds.evaluate(NOW)
    rounds.evaluate(NOW + timedelta(minutes=20))
    assert Alert.objects.get().state == "nodata"
    assert AlertRuleStatus.objects.get().state == "no_data"


def test_deleted_deployment_ends_its_alerts(scraped: Scraped, deployment: object) -> None:
    kv_rule()
    scraped("d", "d-0", [vllm(kv_use=0.9)])
    rounds.evaluate(NOW)
    deployment.deleted_at = NOW
    deployment.save()
    rounds.evaluate(NOW + timedelta(seconds=15))
    alert = Alert.objects.get()
    assert (alert.state, alert.reason) == ("inactive", "subject_gone")


@pytest.mark.parametrize("end", ["deleted", "switched off"])
def test_rule_that_is_gone_ends_its_alerts(scraped: Scraped, deployment: object, end: str) -> None:
    rule = kv_rule()
    scraped("d", "d-0", [vllm(kv_use=0.9)])
    rounds.evaluate(NOW)
    if end == "deleted":
        delete_alert_rule(rule, actor=SYSTEM, reason="r")
    else:
        change_alert_rule(rule, enabled=False, actor=SYSTEM)
    rounds.evaluate(NOW + timedelta(seconds=15))
    alert = Alert.objects.get()
    assert (alert.state, alert.reason, alert.rule_name) == ("inactive", "rule_gone", rule.name)


def test_rule_of_a_project_watches_its_own(scraped: Scraped, deployment: object) -> None:
    other = factories.DeploymentFactory(name="e", project=factories.ProjectFactory())
    kv_rule(project=other.project)
    scraped("d", "d-0", [vllm(kv_use=0.9)])
    rounds.evaluate(NOW)
    assert not Alert.objects.exists()
    scraped("e", "e-0", [vllm(kv_use=0.9)])
    rounds.evaluate(NOW + timedelta(seconds=15))
    assert Alert.objects.get().subject == "e-0"


def requests(project: str, status: str, count: float) -> Reading:
    return Reading(
        "gateway_requests", (count,), counts_up=True, route="r", deployment="d", project=project, part=status
    )


def served(*counts: tuple[str, str, float], at: datetime = NOW) -> None:
    gateway = Target("gateway", "g", "http://g")
    before = [requests(project, status, 0.0) for project, status, _count in counts]
    write([Answer(gateway, before)], at - timedelta(seconds=15))
    write([Answer(gateway, [requests(*it) for it in counts])], at)


def test_failure_rate_leaves_clients_own_mistakes_out() -> None:
    factories.RouteFactory(name="r")
    kv_rule(metric="failure_rate", aggregation="share", threshold=1)
    served(("p", "200", 97), ("p", "502", 3), ("p", "404", 1000))
    rounds.evaluate(NOW)
    assert Alert.objects.get().value == pytest.approx(3.0)


def test_success_rate_counts_refusals_by_limits() -> None:
    factories.RouteFactory(name="r")
    kv_rule(metric="success_rate", aggregation="share", comparison="<", threshold=99)
    served(("p", "200", 90), ("p", "429", 10))
    rounds.evaluate(NOW)
    assert Alert.objects.get().value == pytest.approx(90.0)


def test_rate_of_a_project_is_of_its_own_requests() -> None:
    factories.RouteFactory(name="r")
    project = factories.ProjectFactory(name="p")
    kv_rule(metric="failure_rate", aggregation="share", threshold=1, project=project)
    served(("p", "200", 100), ("p", "502", 0), ("other", "502", 50))
    rounds.evaluate(NOW)
    assert not Alert.objects.exists()


def test_tables_tell_replicas_keys_and_budgets(deployment: object) -> None:
    factories.ReplicaFactory(deployment=deployment, name="d-0", state="crash_loop")
    factories.ApiKeyFactory(name="soon", expires_at=NOW + timedelta(days=3))
    kv_rule(name="a", metric="replicas_not_ready", aggregation="last", threshold=0)
    kv_rule(name="b", metric="replica_crash_looping", aggregation="last", threshold=1, comparison=">=")
    kv_rule(name="c", metric="key_days_left", aggregation="last", threshold=7, comparison="<")
    limit = factories.LimitFactory(api_key=factories.ApiKeyFactory(), tokens_per_day=100)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO budget_account (limit_id, dimension, period, starts, ends, spent)"
            " VALUES (%s, 'tokens_per_day', 'x', %s, %s, 95)",
            [limit.pk, NOW - timedelta(hours=1), NOW + timedelta(hours=1)],
        )
    kv_rule(name="d", metric="quota_use", aggregation="last", threshold=90)
    rounds.evaluate(NOW)
    assert set(Alert.objects.values_list("rule_name", flat=True)) == {"a", "b", "c", "d"}


def test_silenced_alert_is_told_when_the_silence_ends(scraped: Scraped, deployment: object) -> None:
    kv_rule()
    factories.ChannelFactory()
    silence = factories.SilenceFactory(starts_at=NOW, ends_at=NOW + timedelta(seconds=10))
    scraped("d", "d-0", [vllm(kv_use=0.9)])
    rounds.evaluate(NOW)
    assert not Notice.objects.exists()
    later = silence.ends_at + timedelta(seconds=5)
    scraped("d", "d-0", [vllm(kv_use=0.9)], until=later)
    rounds.evaluate(later)
    assert Notice.objects.get().kind == "firing"


def test_broken_samples_are_an_error_of_the_rule(
    scraped: Scraped, deployment: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    kv_rule()
    scraped("d", "d-0", [vllm(kv_use=0.9)])
    rounds.evaluate(NOW)
    monkeypatch.setattr(rounds.gather, "_GAUGES", "SELECT no such thing")
    rounds.evaluate(NOW + timedelta(seconds=15))
    assert Alert.objects.get().state == "error"
    assert AlertRuleStatus.objects.get().state == "error"


@pytest.mark.parametrize("failed", [True, False])
def test_register_that_fails_its_verification_fires_at_once(failed: bool) -> None:
    kv_rule(metric="register_unverified", aggregation="last", threshold=0)
    Verification.objects.update_or_create(pk=1, defaults={"failed_at": NOW if failed else None, "failure": "row 7"})
    rounds.evaluate(NOW)
    assert Alert.objects.filter(state="firing", subject="register").exists() is failed


@pytest.mark.parametrize(("age", "fires"), [(30, False), (300, True)])
def test_register_that_is_not_sealed_fires(age: int, fires: bool) -> None:
    kv_rule(metric="register_unsealed", aggregation="last", threshold=120)
    write_events(event("g", 1, at=timezone.now() - timedelta(seconds=age)))
    rounds.evaluate(NOW)
    assert Alert.objects.filter(state="firing", subject="register").exists() is fires
