"""A wrong setting stops the boot with a line that names it."""

from pathlib import Path

import pytest

from inference.config import Config
from inference.contract.environment import BadEnvironment


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql:///x")
    monkeypatch.setenv("REDIS_URL", "unix:///x")
    monkeypatch.setenv("SECRET_KEY", "k" * 40)


def test_defaults_serve_on_loopback() -> None:
    config = Config.from_env()
    assert (config.bind, config.port, config.metrics_port, config.drain_seconds) == ("127.0.0.1", 8080, 9108, 600)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SIGNALBOX_GATEWAY_PORT", "http"),
        ("SIGNALBOX_GATEWAY_PORT", "70000"),
        ("SIGNALBOX_GATEWAY_WORKERS", "0"),
        ("SIGNALBOX_GATEWAY_CHUNK_SECONDS", "-1"),
        ("SIGNALBOX_GATEWAY_CHUNK_SECONDS", "nan"),
        ("SIGNALBOX_GATEWAY_ACCESS_LOG", "maybe"),
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", "changeme" * 8),
        ("REDIS_URL", ""),
    ],
)
def test_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadEnvironment, match=name):
        Config.from_env()


def test_secret_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("f" * 40 + "\n")
    monkeypatch.setenv("SECRET_KEY_FILE", str(path))
    assert Config.from_env().secret_key == "f" * 40


def test_missing_secret_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY_FILE", "/nowhere")
    with pytest.raises(BadEnvironment, match="SECRET_KEY_FILE"):
        Config.from_env()
