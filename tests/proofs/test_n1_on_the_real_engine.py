"""N1 end to end: the real engine is loaded until a rule breaks; one message with the right bytes, then the recovery."""

import itertools
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.running import RunningSignalbox
from tests.monitoring.robot import Robot
from tests.proofs.proof import Proof

SECRET = "SECofthetest"
SLOW = 0.5
"""seconds; an engine that is not loaded is quicker, the prompts with which Signalbox itself probes it included"""


@pytest.fixture
def robot() -> Iterator[Robot]:
    with tempfile.TemporaryDirectory(prefix="sbx-robot-") as path:
        made = Robot(Path(path), secret=SECRET)
        yield made
        made.stop()


@pytest.fixture
def signalbox(robot: Robot) -> Iterator[RunningSignalbox]:
    with tempfile.TemporaryDirectory(prefix="sbx-n1-") as path:
        running = RunningSignalbox(
            Path(path) / "home", SIGNALBOX_DINGTALK_HOSTS=robot.host, SSL_CERT_FILE=str(robot.ca)
        )  # fmt: skip
        try:
            running.start()
            running.wait_for_answer(120)
            yield running
        finally:
            running.stop()


def wait_for(robot: Robot, word: str, seconds: float) -> float:
    """Seconds until a message has the word in it; infinite if none comes."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if any(word in text for text in robot.texts):
            return time.monotonic() - began
        time.sleep(0.5)
    return float("inf")


@pytest.mark.timeout(1800)
@pytest.mark.proof("N1", seconds=1500, small=False)
def test_slow_first_tokens_reach_a_person(proof: Proof, robot: Robot, signalbox: RunningSignalbox) -> None:
    with signalbox.api() as api:
        channel = {"name": "on call", "kind": "dingtalk", "url": robot.dingtalk, "secret": SECRET}
        assert api.post("/channels", json=channel).status_code == 201
        rule = {
            "name": "slow", "metric": "time_to_first_token", "aggregation": "p99", "threshold": SLOW,
            "window_seconds": 60, "for_seconds": 0, "keep_firing_seconds": 15, "severity": "critical",
        }  # fmt: skip
        assert api.post("/alert-rules", json=rule).status_code == 201
        loading = threading.Event()
        loading.set()
        clients = [threading.Thread(target=load, args=(signalbox, loading)) for _ in range(8)]
        for client in clients:
            client.start()
        fired = wait_for(robot, "[严重] slow", 180)
        loading.clear()
        for client in clients:
            client.join()
        recovered = wait_for(robot, "[已恢复] slow", 300)
        alert = api.get("/alerts?rule=slow").json()["results"][0]
        deliveries = api.get("/deliveries?state=sent").json()["results"]
    firing = sum("[严重] slow" in text for text in robot.texts)
    proof.show("TTFT p99 on the real engine: told", counted="8 clients", bar="within 180 s", measured=f"{fired:.0f} s",
               held=fired < 180)  # fmt: skip
    proof.show("messages of one firing", counted=1, bar="1", measured=firing, held=firing == 1)
    proof.show("recovery told", counted=1, bar="within 300 s", measured=f"{recovered:.0f} s", held=recovered < 300)
    assert alert["state"] == "inactive"
    assert {delivery["answer"] for delivery in deliveries} == {'{"errcode": 0, "errmsg": "ok"}'}


def load(signalbox: RunningSignalbox, loading: threading.Event) -> None:
    """Long prompts that no cache knows."""
    for number in itertools.count():
        if not loading.is_set():
            return
        signalbox.ask(f"{threading.get_ident()} {number} " + "Tell me a long story about a railway signal box. " * 60)
