import base64
import random
import secrets
from pathlib import Path

import pytest

from config import env


def test_secret_comes_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-the-file\n")
    monkeypatch.setenv("X_FILE", str(tmp_path / "key"))
    assert env.text("X") == "from-the-file"


def test_missing_secret_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("X_FILE", str(tmp_path / "none"))
    with pytest.raises(env.BadEnvironment, match="X_FILE=.*none"):
        env.text("X")


@pytest.mark.parametrize("value", ["short", "changeme" * 8, "django-insecure-" + "x" * 40, ""])
def test_weak_secret_stops_the_boot(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("X", value)
    with pytest.raises(env.BadEnvironment, match="^X is"):
        env.secret("X")


def test_long_random_secret_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X", "Zq8" * 20)
    assert env.secret("X") == "Zq8" * 20


_RANDOM = random.Random(7).randbytes(33)
"""the same in each worker of pytest-xdist, which compares the names of tests"""


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize(
    ("value", "why"),
    [("", "is not set"), ("no base64!", "not base64"), (_base64(_RANDOM[:16]), "16 bytes"),
     (_base64(_RANDOM), "33 bytes"), (_base64(bytes(32)), "no random key"),
     (_base64(b"\xfe\x01" * 16), "no random key"), (_base64(b"this-is-the-key-of-the-signalbox"), "no random key")],
)  # fmt: skip
def test_weak_key_stops_the_boot(monkeypatch: pytest.MonkeyPatch, value: str, why: str) -> None:
    monkeypatch.setenv("X", value)
    with pytest.raises(env.BadEnvironment, match=f"^X .*{why}") as stopped:
        env.key("X")
    assert not value or value not in str(stopped.value)


def test_random_key_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = secrets.token_bytes(32)
    monkeypatch.setenv("X", _base64(raw))
    assert env.key("X") == env.optional_key("X") == raw


def test_absent_optional_key_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("X", raising=False)
    assert env.optional_key("X") is None


@pytest.mark.parametrize("value", ["eight", "-1", "70000", "8.5"])
def test_bad_number_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("PORT", value)
    with pytest.raises(env.BadEnvironment, match="^PORT="):
        env.integer("PORT", 1, lowest=1, highest=65535)


@pytest.mark.parametrize(("value", "meaning"), [("1", True), ("Yes", True), ("off", False), ("", False)])
def test_boolean_is_read(monkeypatch: pytest.MonkeyPatch, value: str, meaning: bool) -> None:
    monkeypatch.setenv("FLAG", value)
    assert env.boolean("FLAG", default=False) is meaning


def test_neither_true_nor_false_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAG", "maybe")
    with pytest.raises(env.BadEnvironment, match="FLAG"):
        env.boolean("FLAG", default=False)


def test_words_are_split_and_trimmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTS", " a.example, b.example ,,")
    assert env.words("HOSTS") == ["a.example", "b.example"]


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(env.os, "environ", {"SIGNALBOX_HOME": str(tmp_path)})  # a copy: what is loaded stays in it
    (tmp_path / "dev").mkdir()
    env.instance_file().write_text("# made by make up\nDATABASE_URL=postgresql:///x?a=b\nSECRET_KEY_FILE=/k\n")
    return tmp_path


def test_instance_file_fills_what_is_missing(instance: Path) -> None:
    env.load_instance()
    assert env.os.environ["DATABASE_URL"] == "postgresql:///x?a=b"
    assert env.os.environ["SECRET_KEY_FILE"] == "/k"


def test_instance_file_overrides_nothing(instance: Path) -> None:
    env.os.environ.update(SECRET_KEY="mine", DATABASE_URL="postgresql:///mine")
    env.load_instance()
    assert "SECRET_KEY_FILE" not in env.os.environ
    assert env.os.environ["DATABASE_URL"] == "postgresql:///mine"
