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
def engines(tmp_path: Path) -> Path:
    """A directory with an environment for CUDA, made by hand."""
    path = tmp_path / "engines"
    python = path / "vllm" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch(mode=0o755)
    return path


@pytest.fixture(autouse=True)
def cpu_environment_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "is_usable", lambda flavour, directory: directory.exists())


def _obstacle(engines: Path, source: Path | str, memory: int = PLENTY, **fields: object) -> tuple[Obstacle, str]:
    with pytest.raises(BackendError) as caught:
        requirements.check(spec(source=str(source), **fields), engines, engines.parent, lambda: memory)
    return caught.value.reason, str(caught.value)


def test_all_there(engines: Path, model: Path) -> None:
    requirements.check(spec(source=str(model)), engines, engines.parent, lambda: PLENTY)


def test_missing_environment(tmp_path: Path, model: Path) -> None:
    reason, message = _obstacle(tmp_path / "nowhere", model)
    assert reason is Obstacle.ENGINE_MISSING
    assert "make up" in message


def test_missing_model(engines: Path, tmp_path: Path) -> None:
    reason, message = _obstacle(engines, tmp_path / "empty")
    assert reason is Obstacle.MODEL_MISSING
    assert "config.json" in message


def test_corrupt_model(engines: Path, model: Path) -> None:
    write_manifest(model)
    (model / "config.json").write_text("[]")
    assert _obstacle(engines, model)[0] is Obstacle.MODEL_CORRUPT


def test_too_little_memory(engines: Path, model: Path) -> None:
    reason, message = _obstacle(engines, model, memory=2 * 1024**3)
    assert reason is Obstacle.NO_MEMORY
    assert "2.0 GiB are available and 2.5 are needed" in message


def test_model_that_is_still_to_be_fetched(engines: Path) -> None:
    requirements.check(spec(source="hf:org/name"), engines, engines.parent, lambda: PLENTY)


def test_full_disk(engines: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "LOG_DISK_NEEDED", 1 << 60)
    assert _obstacle(engines, model)[0] is Obstacle.NO_DISK


def test_this_machine_has_memory() -> None:
    assert requirements.memory_available() > 0
