"""Probes of external engines behind TLS trust whom the gateway trusts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.tls_engine import tls_engine
from workers.probe import Prober, Target
from workers.verdict import Health

AUTHORITY, OTHER = Authority(), Authority("other")


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with tls_engine(AUTHORITY.server_context(tmp_path, "127.0.0.1")) as url:
        yield url


def asked(url: str, ca: str = "", *, verify: bool = True) -> Health:
    target = Target("a-0", url, "m", "", run=1.0, ready=False, external=True, tls_ca=ca, tls_verify=verify)
    return Prober().ask([target], 10)["a-0"]


def test_engine_of_the_given_authority_is_well(url: str) -> None:
    assert asked(url, AUTHORITY.pem) == Health(ok=True)


def test_unchecked_engine_is_well(url: str) -> None:
    assert asked(url, OTHER.pem, verify=False) == Health(ok=True)


@pytest.mark.parametrize("ca", ["", OTHER.pem])
def test_stranger_is_not(url: str, ca: str) -> None:
    health = asked(url, ca)
    assert (health.ok, health.reason) == (False, "no_answer")
    assert "certificate" in health.message.lower()
