"""N2: a storm of firings sends at most 18 messages a minute to a robot, and no alert is missing from the digests."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controlplane.actions.set_channel import create_channel
from controlplane.actors import SYSTEM
from controlplane.models import Alert, Channel, DeliveryAttempt, Notice
from monitoring import outbox
from tests import factories
from tests.monitoring.robot import Robot
from tests.proofs.proof import Proof

pytestmark = pytest.mark.django_db
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.proof("N2", seconds=300)
@pytest.mark.parametrize("kind", ["dingtalk", "wecom"])
def test_storm_mutes_no_robot(
    kind: str, proof: Proof, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [BEGIN]
    robot = Robot(tmp_path, clock=lambda: clock[0].timestamp())  # noqa: PLW0108 - the clock moves
    settings.ROBOT_HOSTS = {"dingtalk": [robot.host], "wecom": [robot.host]}
    monkeypatch.setenv("SSL_CERT_FILE", str(robot.ca))
    url = robot.dingtalk if kind == "dingtalk" else robot.wecom
    channel = create_channel(name="c", kind=kind, url=url, hourly_cap=1080, actor=SYSTEM)
    alerts = storm(channel, proof.full(1_000, 10_000))
    while Notice.objects.filter(delivery=None).exists() and not proof.is_over(f"{len(robot.taken):,} messages"):
        while claimed := outbox.claim(channel.pk, clock[0]):
            outbox.settle(claimed, outbox.send(claimed), clock[0])
        clock[0] += timedelta(seconds=2)
    robot.stop()
    text = "\n".join(robot.texts)
    missing = sum(f"{alert.subject} " not in text for alert in alerts)
    counted = f"{len(alerts):,} firings, {len(robot.taken)} messages to {kind} in {clock[0] - BEGIN}"
    busiest = most_in_a_minute()
    proof.show("alerts missing from the digests", counted=counted, bar="0", measured=missing, held=not missing)
    proof.show("messages in any minute", counted=counted, bar="≤ 18", measured=busiest, held=busiest <= 18)
    proof.show(f"times that {kind} muted", counted=counted, bar="0", measured=robot.penalties, held=not robot.penalties)


def storm(channel: Channel, count: int) -> list[Alert]:
    """So many alerts of twenty rules, all at once in the outbox."""
    rules = [factories.AlertRuleFactory(name=f"rule {number}") for number in range(20)]
    alerts = Alert.objects.bulk_create([
        factories.AlertFactory.build(
            rule=rules[n % 20], rule_name=f"rule {n % 20}", project=None, subject=f"deployment-{n:05d}-replica",
            fingerprint=f"{n:064x}", value=97.0,
        )
        for n in range(count)
    ])  # fmt: skip
    Notice.objects.bulk_create([
        Notice(alert=alert, channel=channel, kind="firing", at=BEGIN, value=97.0) for alert in alerts
    ])  # fmt: skip
    return alerts


def most_in_a_minute() -> int:
    times = sorted(DeliveryAttempt.objects.values_list("at", flat=True))
    return max(sum(at <= other < at + timedelta(minutes=1) for other in times) for at in times)
