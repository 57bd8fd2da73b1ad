"""Samples as a scrape would have written them."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitoring import samples
from monitoring.scrape import Answer
from monitoring.targets import Target
from monitoring.vocabulary import readings
from tests.monitoring.robot import Robot

NOW = datetime.now(UTC).replace(microsecond=0)
Scraped = Callable[..., None]


def engine(deployment: str, replica: str) -> Target:
    return Target("engine", replica, f"http://{replica}/metrics", deployment, replica)


def write(target: Target, texts: list[str], *, until: datetime = NOW, every: float = 15.0) -> None:
    """One sample a text, the last one at `until`."""
    for number, text in enumerate(texts):
        at = until - timedelta(seconds=every * (len(texts) - 1 - number))
        samples.write([Answer(target, readings(target.kind, text.encode()))], at)


@pytest.fixture
def scraped(db: None) -> Scraped:
    """Write what an engine told, text by text: ``scraped("deployment", "replica", [text, …])``."""

    def scraped_(deployment: str, replica: str, texts: list[str], *, until: datetime = NOW) -> None:
        write(engine(deployment, replica), texts, until=until)

    return scraped_


@pytest.fixture
def robot(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Robot]:
    """Where DingTalk's and WeCom's robots are in this test; its authority is one that the machine trusts."""
    made = Robot(tmp_path, secret="")
    settings.ROBOT_HOSTS = {"dingtalk": [made.host], "wecom": [made.host]}
    settings.WEBHOOK_HOSTS = ["127.0.0.1"]
    monkeypatch.setenv("SSL_CERT_FILE", str(made.ca))
    yield made
    made.stop()
