"""Certificates of external engines: parsed, kept bare, named in the register, told to the gateway at once."""

from typing import Any

import pytest

from audit.models import Event
from audit.record import Actor
from controlplane import gateway_tables, publish
from controlplane.actions.change_deployment import change_deployment
from controlplane.actions.create_deployment import create_deployment
from controlplane.errors import Invalid
from controlplane.models import Deployment
from tests.certificates import Authority
from tests.factories import DeploymentFactory, ReplicaFactory, TargetFactory, VersionFactory

pytestmark = pytest.mark.django_db
AUTHORITY, OTHER = Authority("one"), Authority("other")


def made(alice: Actor, **fields: Any) -> Deployment:
    external = {"backend": "external", "flavour": "external", "external_url": "https://engine:8000"}
    return create_deployment(name="far", version=VersionFactory(), actor=alice, **(external | fields))


@pytest.fixture
def far() -> Deployment:
    return DeploymentFactory(backend="external", flavour="external", external_url="https://engine:8000")


def test_only_certificates_are_kept(alice: Actor) -> None:
    text = f"# our root\r\n{AUTHORITY.pem}\nsubject=CN=other\n{OTHER.pem}"
    assert made(alice, tls_ca=text).tls_ca == AUTHORITY.pem + OTHER.pem


def test_register_names_them_by_their_fingerprints(alice: Actor) -> None:
    change_deployment(made(alice, tls_ca=AUTHORITY.pem), tls_ca=OTHER.pem, tls_verify=False, actor=alice)
    created, changed = Event.objects.order_by("at", "writer_seq")
    assert created.detail["tls_verify"] is True
    [[before], [after]] = changed.changes["tls_ca"]
    assert [before] == created.detail["tls_ca"]
    assert before != after
    assert len(after.split(":")) == 32
    assert changed.changes["tls_verify"] == [True, False]
    assert "BEGIN" not in f"{created.detail}{changed.changes}"


@pytest.mark.parametrize(
    "pem",
    [
        "x", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----",
        AUTHORITY.pem[:100] + AUTHORITY.pem[140:], AUTHORITY.pem.replace("CERTIFICATE", "CERTIFICATE REQUEST"),
    ],
)  # fmt: skip
def test_what_is_no_certificate_is_refused(alice: Actor, pem: str) -> None:
    with pytest.raises(Invalid, match="no certificates in PEM") as refused:
        made(alice, tls_ca=pem)
    assert refused.value.field == "tls_ca"


def test_private_key_is_refused(alice: Actor) -> None:
    with pytest.raises(Invalid, match="private key"):
        made(alice, tls_ca=AUTHORITY.pem + "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----")


def test_heap_of_certificates_is_refused(alice: Actor) -> None:
    with pytest.raises(Invalid, match="100000"):
        made(alice, tls_ca=AUTHORITY.pem * 200)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"external_url": "http://engine:8000", "tls_ca": AUTHORITY.pem}, "tls_ca"),
        ({"external_url": "http://engine:8000", "tls_verify": False}, "tls_verify"),
        ({"backend": "process", "flavour": "vllm", "external_url": "", "tls_ca": AUTHORITY.pem}, "tls_ca"),
    ],
)
def test_certificates_without_https_are_refused(alice: Actor, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        made(alice, **fields)
    assert refused.value.field == field


def test_gateway_is_told_at_once(
    alice: Actor, far: Deployment, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    TargetFactory(deployment=far)
    ReplicaFactory(deployment=far, url=far.external_url)
    told = []
    monkeypatch.setattr(publish, "publish_routes", lambda: told.append(gateway_tables.route_table()))
    with django_capture_on_commit_callbacks(execute=True):
        change_deployment(far, tls_ca=AUTHORITY.pem, tls_verify=False, actor=alice)
    [replica] = told[-1].routes[0].targets[0].replicas
    assert (replica.tls_ca, replica.tls_verify) == (AUTHORITY.pem, False)


def test_equal_certificates_are_no_change(alice: Actor, far: Deployment) -> None:
    change_deployment(far, tls_ca=AUTHORITY.pem, actor=alice)
    change_deployment(far, tls_ca="\n" + AUTHORITY.pem, tls_verify=True, actor=alice)
    assert Event.objects.count() == 1
