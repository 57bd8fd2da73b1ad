"""What has to be there before an engine is started."""

from pathlib import Path

import pytest

from tests.workers.specs import spec
from workers.backends.base import BackendError, Obstacle
from workers.backends.process import requirements
from workers.engines.default_model import write_manifest

PLENTY = 1 << 40


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    path.mkdir()
    (path / "config.json").write_text("{}")
    return path


@pytest.fixture
def python(tmp_path: Path) -> Path:
    path = tmp_path / "python"
    path.touch()
    return path


def _obstacle(python: Path, source: Path | str, memory: int = PLENTY, **fields: object) -> tuple[Obstacle, str]:
    with pytest.raises(BackendError) as caught:
        requirements.check(spec(source=str(source), **fields), python, python.parent, lambda: memory)
    return caught.value.reason, str(caught.value)


def test_all_there(python: Path, model: Path) -> None:
    requirements.check(spec(source=str(model)), python, python.parent, lambda: PLENTY)


def test_missing_environment(tmp_path: Path, model: Path) -> None:
    reason, message = _obstacle(tmp_path / "nowhere", model)
    assert reason is Obstacle.ENGINE_MISSING
    assert "make up" in message


def test_missing_model(python: Path, tmp_path: Path) -> None:
    reason, message = _obstacle(python, tmp_path / "empty")
    assert reason is Obstacle.MODEL_MISSING
    assert "config.json" in message


def test_corrupt_model(python: Path, model: Path) -> None:
    write_manifest(model)
    (model / "config.json").write_text("[]")
    assert _obstacle(python, model)[0] is Obstacle.MODEL_CORRUPT


def test_too_little_memory(python: Path, model: Path) -> None:
    reason, message = _obstacle(python, model, memory=2 * 1024**3)
    assert reason is Obstacle.NO_MEMORY
    assert "2.0 GiB are available and 2.5 are needed" in message


def test_model_that_is_still_to_be_fetched(python: Path) -> None:
    requirements.check(spec(source="hf:org/name"), python, python.parent, lambda: PLENTY)


def test_full_disk(python: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "LOG_DISK_NEEDED", 1 << 60)
    assert _obstacle(python, model)[0] is Obstacle.NO_DISK


def test_this_machine_has_memory() -> None:
    assert requirements.memory_available() > 0
