"""docker-compose.yml starts the same processes as `make up`."""

import json
import re
from pathlib import Path

import pytest

from config import healthy
from config.up.instance import Instance
from config.up.programs import of_signalbox
from tests.deploy.compose_file import OURS, ROOT, SERVICES

HERE = {"--host": "0.0.0.0", "--schedule": str(healthy.BEAT_SCHEDULE)}


def of_make_up(name: str) -> list[str]:
    instance = Instance(Path("/x"), "127.0.0.1", 8000, 8080, 9108, 2, with_engine=False)
    _, *argv = next(program.argv for program in of_signalbox(instance) if program.name == name)
    before = ["", *argv]
    return [HERE.get(before[place], word) for place, word in enumerate(argv)]


@pytest.mark.parametrize("name", ["console", "gateway", "worker", "beat"])
def test_command_is_that_of_make_up(name: str) -> None:
    assert SERVICES[name]["command"] == ["python", *of_make_up(name)]


def test_the_image_by_itself_is_a_console() -> None:
    commands = re.findall(r"^CMD (.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert [json.loads(command) for command in commands] == [SERVICES["console"]["command"]]


@pytest.mark.parametrize("name", sorted(set(OURS) - {"migrate"}))
def test_its_health_is_its_own(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"] == ["CMD", "python", "-m", "config.healthy", name]
    assert name in healthy.ROLES
