"""A start that cannot succeed says why in one line, exits with an error and leaves nothing the next one trips over."""

import shutil
from pathlib import Path

import pytest

from tests.e2e.running import RunningSignalbox

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]


def one_line(instance: RunningSignalbox) -> str:
    """Start, wait for the end; the one line that it ends with."""
    instance.start(wait=False)
    assert instance.wait_for_end(240) != 0
    lines = [line for line in instance.output.splitlines() if line.startswith("signalbox:")]
    assert len(lines) == 1, instance.output
    assert "Traceback" not in instance.output
    assert instance.processes() == []
    return lines[0]


def test_corrupt_model_is_named_and_the_next_start_makes_it_anew(signalbox: RunningSignalbox, fresh_home: Path) -> None:
    models = fresh_home.parent / "models"
    shutil.copytree(signalbox.home / "models", models)
    weights = next(models.rglob("model.safetensors"))
    with weights.open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"a bit of something else")
    engines = str(signalbox.home / "engines")
    second = RunningSignalbox(fresh_home, SIGNALBOX_ENGINES_DIR=engines, SIGNALBOX_MODELS_DIR=str(models))
    assert "model.safetensors" in one_line(second)
    second.start()
    try:
        assert "Paris" in second.ask().text
    finally:
        second.stop()


def test_no_network_at_the_first_start(fresh_home: Path) -> None:
    nowhere = "http://127.0.0.1:9/simple"
    cache = str(fresh_home.parent / "cache")
    alone = RunningSignalbox(
        fresh_home, PIP_CONFIG_FILE="/dev/null", PIP_INDEX_URL=nowhere, PIP_FIND_LINKS="", UV_CACHE_DIR=cache
    )
    assert "network" in one_line(alone)


def test_database_that_is_away_is_named(fresh_home: Path) -> None:
    alone = RunningSignalbox(fresh_home, DATABASE_URL="postgresql://127.0.0.1:9/none", ENGINE="none")
    assert "DATABASE_URL" in one_line(alone)
