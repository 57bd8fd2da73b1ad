"""`connect` to an engine behind TLS."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.models import Deployment
from tests.certificates import Authority
from tests.commands.run import run
from tests.tls_engine import tls_engine

pytestmark = pytest.mark.django_db
AUTHORITY, OTHER = Authority(), Authority("other")


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with tls_engine(AUTHORITY.server_context(tmp_path, "127.0.0.1")) as url:
        yield url


def file(directory: Path, authority: Authority) -> str:
    path = directory / "ca.pem"
    path.write_text(authority.pem)
    return str(path)


def test_own_authority_is_given(url: str, tmp_path: Path) -> None:
    assert run("connect", url, "--route", "chat", "--ca", file(tmp_path, AUTHORITY)).status == 0
    deployment = Deployment.objects.get()
    assert (deployment.served_name, deployment.tls_verify) == ("Qwen/Qwen3-0.6B", True)
    assert deployment.tls_ca == AUTHORITY.pem


def test_stranger_is_not_asked(url: str, tmp_path: Path) -> None:
    for ran in (
        run("connect", url, "--route", "chat"),
        run("connect", url, "--route", "chat", "--ca", file(tmp_path, OTHER)),
    ):
        assert ran.status == 1
        assert "CERTIFICATE_VERIFY_FAILED" in ran.err
    assert not Deployment.objects.exists()


def test_check_may_be_switched_off(url: str) -> None:
    assert run("connect", url, "--route", "chat", "--insecure").status == 0
    assert Deployment.objects.get().tls_verify is False


def test_same_again_keeps_the_authority_unless_another_is_given(url: str, tmp_path: Path) -> None:
    run("connect", url, "--route", "chat", "--model", "m", "--ca", file(tmp_path, OTHER))
    run("connect", url, "--route", "chat", "--model", "m", "--weight", "7")
    assert Deployment.objects.get().tls_ca == OTHER.pem
    run("connect", url, "--route", "chat", "--model", "m", "--ca", file(tmp_path, AUTHORITY))
    assert Deployment.objects.get().tls_ca == AUTHORITY.pem


@pytest.mark.parametrize("content", [None, b"x", b"\xff"])
def test_bad_file_is_one_line(url: str, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    ran = run("connect", url, "--route", "chat", "--model", "m", "--ca", str(path))
    assert ran.status == 1
    assert "certificates" in ran.err
    assert "\n" not in ran.err


def test_both_at_once_contradict_each_other(url: str, tmp_path: Path) -> None:
    ran = run("connect", url, "--route", "chat", "--ca", file(tmp_path, AUTHORITY), "--insecure")
    assert ran.status != 0
    assert not Deployment.objects.exists()
