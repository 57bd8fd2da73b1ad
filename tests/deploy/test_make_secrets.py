"""deploy/make-secrets.sh makes what docker-compose.yml mounts, and what Signalbox starts with."""

import os
import shutil
import ssl
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from inference.contract import environment as env
from tests.deploy.compose_file import COMPOSE, ROOT, SERVICES


def make(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = directory / "deploy" / "make-secrets.sh"
    script.parent.mkdir(exist_ok=True)
    shutil.copy(ROOT / "deploy" / "make-secrets.sh", script)
    return subprocess.run(["sh", str(script), *arguments], capture_output=True, text=True, check=True)


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    make(tmp_path, "signalbox.corp.example")
    return tmp_path / "deploy" / "secrets"


def test_it_makes_what_compose_mounts(secrets: Path) -> None:
    wanted = {Path(entry["file"]).name for entry in COMPOSE["secrets"].values()}
    assert {path.name for path in secrets.iterdir()} == wanted | {"tls"}


def test_only_the_owner_gets_to_them(secrets: Path) -> None:
    """The directory is closed; behind it the containers' users have to be able to read."""
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets.iterdir() if path.is_file()} == {0o444}


def test_what_is_there_stays(tmp_path: Path) -> None:
    make(tmp_path)
    before = {path: path.read_bytes() for path in (tmp_path / "deploy" / "secrets").rglob("*") if path.is_file()}
    (tmp_path / "deploy" / "secrets" / "jwt_key").unlink()
    again = make(tmp_path)
    assert again.stdout == "made deploy/secrets/jwt_key\n"
    changed = [path.name for path, content in before.items() if path.read_bytes() != content]
    assert changed == ["jwt_key"]


def test_signalbox_takes_them(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in SERVICES["worker"]["environment"].items():
        if variable.endswith("_FILE"):
            monkeypatch.setenv(variable, str(secrets / Path(value).name))
    assert env.secret("SECRET_KEY")
    for name in ("SIGNALBOX_MASTER_KEY", "SIGNALBOX_JWT_KEY", "SIGNALBOX_SEAL_KEY"):
        assert len(env.key(name)) == 32
    assert env.required("DATABASE_URL") != env.required("DATABASE_OWNER_URL")


def test_the_certificate_is_for_that_host(secrets: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(secrets / "tls" / "tls.pem")
    context.load_verify_locations(secrets / "tls" / "tls.pem")
    (certificate,) = context.get_ca_certs()
    assert certificate["subjectAltName"] == (("DNS", "signalbox.corp.example"),)


@pytest.mark.parametrize("module", ["inference", "config.up.prepare"])
def test_without_them_the_boot_ends_with_one_clear_line(module: str, tmp_path: Path) -> None:
    variables = {
        variable: str(tmp_path / Path(value).name)
        for variable, value in SERVICES["migrate"]["environment"].items()
        if variable.endswith("_FILE")
    }
    environment = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "config.settings", **variables}
    done = subprocess.run(
        [sys.executable, "-m", module], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1].endswith("No such file or directory. Point it at a readable file.")
