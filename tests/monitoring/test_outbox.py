"""Deliveries: through a real robot over TLS that checks, refuses, hangs and closes."""

import hashlib
import hmac
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from controlplane.actions.set_channel import change_channel, create_channel
from controlplane.actions.try_channel import try_channel
from controlplane.actors import SYSTEM
from controlplane.models import Alert, Channel, ChannelBreak, Delivery, DeliveryAttempt, Notice
from controlplane.models.alerts import DeliveryState
from monitoring import outbox
from monitoring.outbox import Reason
from monitoring.transports import outbound
from tests import factories
from tests.monitoring.robot import Robot

pytestmark = pytest.mark.django_db


def channel(robot: Robot, kind: str = "dingtalk", **fields: Any) -> Channel:
    url = {"dingtalk": robot.dingtalk, "wecom": robot.wecom, "webhook": f"https://{robot.host}/hook"}[kind]
    return create_channel(name="on call", kind=kind, url=url, actor=SYSTEM, **({"language": "en"} | fields))


def tell(to: Channel, count: int = 1, kind: str = "firing", **alert: Any) -> list[Alert]:
    """Put so many alerts of one rule into the outbox."""
    rule = alert.pop("rule", None) or factories.AlertRuleFactory()
    alerts = [factories.AlertFactory(rule=rule, **alert) for _ in range(count)]
    now = timezone.now()
    Notice.objects.bulk_create([Notice(alert=it, channel=to, kind=kind, at=now, value=97.0) for it in alerts])
    return alerts


def once(to: Channel, now: datetime | None = None) -> Reason | None:
    """The channel's next message, if it may be sent."""
    now = now or timezone.now()
    claimed = outbox.claim(to.pk, now)
    return outbox.settle(claimed, outbox.send(claimed), now) if claimed else None


def test_message_says_what_where_since_when_and_what_to_do(robot: Robot) -> None:
    (alert,) = tell(channel(robot), advice="Add a replica.", rule=factories.AlertRuleFactory(name="KV cache is full"))
    assert outbox.deliver() == 1
    text = robot.texts[0]
    for part in ("[Warning] KV cache is full", alert.subject, "97 %", "85 %", "Since", "Add a replica.", str(alert.pk)):
        assert part in text
    assert Delivery.objects.get().state == DeliveryState.SENT
    assert json.loads(Delivery.objects.get().answer) == {"errcode": 0, "errmsg": "ok"}


def test_signature_is_the_one_that_dingtalk_checks(robot: Robot) -> None:
    robot.secret = "SECabc"
    to = channel(robot, secret="SECabc")
    tell(to)
    assert once(to) is Reason.TAKEN
    assert robot.taken[0]["msgtype"] == "markdown"
    assert set(robot.taken[0]["markdown"]) == {"title", "text"}


def test_wrong_secret_breaks_the_channel_and_loses_nothing(robot: Robot) -> None:
    robot.secret = "SECabc"
    to = channel(robot, secret="SECother")
    tell(to)
    assert once(to) is Reason.CHANNEL_BROKEN
    assert "sign not match" in ChannelBreak.objects.get().message
    assert once(to) is None
    change_channel(to, secret="SECabc", actor=SYSTEM)
    assert once(to) is Reason.TAKEN


def test_wecom_gets_its_shape_within_its_size(robot: Robot) -> None:
    to = channel(robot, "wecom")
    rule = factories.AlertRuleFactory()
    alerts = [tell(to, rule=rule)[0] for _ in range(300)]
    while once(to):
        pass
    assert {it["msgtype"] for it in robot.taken} == {"markdown"}
    assert max(len(text.encode()) for text in robot.texts) <= 4096
    whole = "\n".join(robot.texts)
    assert [it.subject for it in alerts if f"{it.subject} " not in whole] == []


def test_webhook_is_alertmanagers_and_signed(robot: Robot) -> None:
    to = channel(robot, "webhook", secret="s3cret")
    (alert,) = tell(to, rule=factories.AlertRuleFactory(name="R"))
    assert once(to) is Reason.TAKEN
    body = robot.taken[0]
    assert (body["version"], body["status"], body["truncatedAlerts"]) == ("4", "firing", 0)
    assert body["alerts"][0]["labels"]["alertname"] == "R"
    assert body["alerts"][0]["fingerprint"] == alert.fingerprint[:16]
    stamp, _, sent = robot.headers[0]["x-signalbox-signature"].partition(",v1=")
    raw = json.dumps(body, ensure_ascii=False).encode()
    expected = hmac.new(b"s3cret", stamp.removeprefix("t=").encode() + b"." + raw, hashlib.sha256).hexdigest()
    assert sent == expected


@pytest.mark.parametrize("how", ["close", "status:500", "errcode:999", "status:200"])
def test_what_passes_is_tried_again(robot: Robot, how: str) -> None:
    to = channel(robot)
    tell(to)
    robot.behave = [how]
    now = timezone.now()
    assert once(to, now) is Reason.TRY_AGAIN
    assert once(to, now) is None
    assert once(to, now + timedelta(seconds=6)) is Reason.TAKEN
    assert [it.reason for it in DeliveryAttempt.objects.order_by("at")] == ["try_again", "taken"]


def test_hanging_robot_costs_seconds(robot: Robot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "SECONDS", 0.2)
    to = channel(robot)
    tell(to)
    robot.behave = ["hang"]
    assert once(to) is Reason.TRY_AGAIN


def test_redirect_is_not_followed(robot: Robot) -> None:
    to = channel(robot, "webhook")
    tell(to)
    robot.behave = ["status:302"]
    assert once(to) is Reason.CHANNEL_BROKEN
    assert robot.asked == 1


def test_throttled_robot_is_left_alone(robot: Robot) -> None:
    to = channel(robot)
    tell(to)
    robot.behave = ["errcode:130101"]
    now = timezone.now()
    assert once(to, now) is Reason.THROTTLED
    assert once(to, now + timedelta(minutes=9)) is None
    assert once(to, now + timedelta(minutes=11)) is Reason.TAKEN


def test_dead_workers_message_is_marked(robot: Robot) -> None:
    to = channel(robot, language="zh-hans")
    tell(to)
    now = timezone.now()
    claimed = outbox.claim(to.pk, now)
    assert claimed
    outbox.send(claimed)  # and dies before it is written down
    assert outbox.claim(to.pk, now + timedelta(seconds=5)) is None
    assert once(to, now + timedelta(seconds=31)) is Reason.TAKEN
    assert ["可能重复" in text for text in robot.texts] == [False, True]
    assert Delivery.objects.get().maybe_twice


def test_late_answer_of_a_slow_worker_changes_nothing(robot: Robot) -> None:
    to = channel(robot)
    tell(to)
    now = timezone.now()
    slow = outbox.claim(to.pk, now)
    assert slow
    assert once(to, now + timedelta(seconds=31)) is Reason.TAKEN
    outbox.settle(slow, outbox.TransportError("late"), now)
    assert Delivery.objects.get().state == DeliveryState.SENT


def test_few_rules_get_own_messages_many_a_digest(robot: Robot) -> None:
    to = channel(robot)
    for _ in range(2):
        tell(to)
    assert outbox.deliver() == 2
    for _ in range(9):
        tell(to)
    assert outbox.deliver() == 1
    assert "9 alerts are firing" in robot.texts[-1]


def test_hourly_cap_gathers_what_goes_beyond(robot: Robot) -> None:
    to = channel(robot, hourly_cap=2)
    now = timezone.now()
    for number in range(5):
        tell(to)
        once(to, now + timedelta(minutes=number))
    assert len(robot.taken) == 2
    assert once(to, now + timedelta(minutes=62)) is Reason.TAKEN
    assert not Notice.objects.filter(delivery=None).exists()


def test_test_button_reaches_a_broken_channel_and_mends_it(robot: Robot) -> None:
    to = channel(robot)
    ChannelBreak.objects.create(channel=to, at=timezone.now(), message="m")
    tell(to)
    try_channel(to, actor=SYSTEM)
    assert once(to) is Reason.TAKEN
    assert "Test message" in robot.texts[0]
    assert once(to) is Reason.TAKEN
    assert "[Warning]" in robot.texts[1]


def test_url_and_secret_are_nowhere_to_be_read(robot: Robot, events: Any) -> None:
    to = channel(robot, secret="SECplanted")
    robot.behave = ["close"]
    tell(to)
    once(to)
    shown = " ".join(
        [str(Channel.objects.values().get()), str(Delivery.objects.values().get()), repr(to), to.shown_url]
        + [str(event.__dict__) for event in events()]
        + list(DeliveryAttempt.objects.values_list("answer", flat=True))
    )
    assert "0123456789ab" not in shown
    assert "SECplanted" not in shown


def test_names_from_exporters_are_no_markdown(robot: Robot) -> None:
    to = channel(robot)
    tell(to, subject="GPU](https://evil.example) **x** <script>")
    once(to)
    assert "](https://evil" not in robot.texts[0]
    assert "<script>" not in robot.texts[0]
