"""N1: whatever kills workers, each transition is recorded once and none goes untold; a duplicate is marked as one."""

import random
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.db import connection

from controlplane.actions.set_channel import create_channel
from controlplane.actors import SYSTEM
from controlplane.models import AlertTransition, Channel, Delivery, Notice
from monitoring import outbox
from tests import factories
from tests.monitoring.robot import Robot
from tests.proofs.proof import Proof
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])
SUBJECTS = 12


class Workers:
    """One after the other, each until it is killed."""

    def __init__(self, robot: Robot) -> None:
        name = str(connection.settings_dict["NAME"])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.proofs.alert_worker", name, robot.host],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def start(self, first: datetime) -> psutil.Process:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{first.isoformat()}\n")
        self.process.stdin.flush()
        return psutil.Process(int(self.process.stdout.readline()))

    def end(self) -> None:
        self.process.communicate(timeout=60)


def kill(worker: psutil.Process) -> None:
    worker.kill()
    worker.wait(60)


def toggle(states: list[Any], dice: random.Random) -> None:
    """Some replicas crash, some are well again: metrics that tables tell."""
    for replica in dice.sample(states, 4):
        new = "ready" if replica.state == "crash_loop" else "crash_loop"
        type(replica).objects.filter(pk=replica.pk).update(state=new)
        replica.refresh_from_db()


@pytest.fixture
def robot(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    made = Robot(tmp_path, limited=False)
    settings.ROBOT_HOSTS = {"dingtalk": [made.host], "wecom": [made.host]}
    monkeypatch.setenv("SSL_CERT_FILE", str(made.ca))
    yield made
    made.stop()


@pytest.mark.proof("N1", seconds=600)
def test_no_notice_is_lost_over_kills(proof: Proof, robot: Robot) -> None:
    dice, kills = random.Random(1), 0
    deployment = factories.DeploymentFactory(name="d", replicas=SUBJECTS)
    states = [factories.ReplicaFactory(deployment=deployment, name=f"d-{n}", ordinal=n) for n in range(SUBJECTS)]
    factories.AlertRuleFactory(
        name="crash", metric="replica_crash_looping", aggregation="last", comparison=">=", threshold=1, for_seconds=0,
        keep_firing_seconds=0, repeat_seconds=0,
    )  # fmt: skip
    channel = create_channel(name="c", kind="dingtalk", url=robot.dingtalk, hourly_cap=1080, actor=SYSTEM)
    Channel.objects.update(hourly_cap=32_000)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    workers = Workers(robot)
    for number in proof.rounds(5, 100):
        worker = workers.start(at + timedelta(days=number))  # ticks never fall back
        wanted, until = robot.asked + dice.randrange(4), time.monotonic() + 4
        while robot.asked < wanted and time.monotonic() < until:
            robot.behave = [dice.choice(["well", "well", "take and close", "close", "errcode:999", "status:502"])]
            toggle(states, dice)
            time.sleep(dice.uniform(0, 0.1))
        kill(worker)
        kills += 1
    workers.end()
    robot.behave = []
    moment, until = datetime.now(UTC) + timedelta(days=2), time.monotonic() + PATIENCE
    while Notice.objects.exclude(delivery__state="sent").exists() and time.monotonic() < until:
        moment += timedelta(minutes=10)
        if claimed := outbox.claim(channel.pk, moment):
            outbox.settle(claimed, outbox.send(claimed), moment)
    told = "\n".join(robot.texts)
    lost = Notice.objects.exclude(delivery__state="sent").count()
    lost += sum(not _is_named(it, told) for it in Notice.objects.select_related("alert"))
    history = list(AlertTransition.objects.values_list("alert_id", "at"))
    deliveries = Delivery.objects.filter(state="sent").count()
    plain = sum("可能重复" not in text for text in robot.texts)
    duplicates, may = len(robot.taken) - deliveries, kills + robot.closed_after_taking
    counted = f"{kills} kills, {len(history)} transitions, {len(robot.taken)} messages taken"
    for what, found in (
        ("notices lost", lost),
        ("transitions recorded twice", len(history) - len(set(history))),
        ("transitions without their notice", abs(len(history) - Notice.objects.count())),
        ("duplicates not marked 可能重复", max(0, plain - deliveries)),
    ):
        proof.show(what, counted=counted, bar="0", measured=found, held=not found)
    bar = f"≤ {may}: kills and answers withheld"
    proof.show("duplicates", counted=counted, bar=bar, measured=duplicates, held=duplicates <= may)


def _is_named(notice: Notice, told: str) -> bool:
    """By its link in a message of its own, by its subject in a digest."""
    return str(notice.alert.pk) in told or re.search(rf"{re.escape(notice.alert.subject)}\b", told) is not None
