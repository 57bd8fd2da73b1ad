"""Engines behind TLS: whom the gateway takes for one, and what it says when it does not."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from inference import snapshot
from inference.contract.tables import RouteEntry
from inference.errors import UpstreamError
from inference.snapshot import Trust
from inference.trust import context
from tests.inference.conftest import Publisher, Start, route
from tests.inference.engine import Engine, answer
from tests.waiting import eventually


class Authority:
    """A certificate authority of our own."""

    def __init__(self, name: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            self._about(self.name, self.key.public_key(), timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        self.pem = certificate.public_bytes(serialization.Encoding.PEM).decode()

    def _about(self, name: x509.Name, key: ec.EllipticCurvePublicKey, lasts: timedelta) -> x509.CertificateBuilder:
        until = datetime.now(UTC) + lasts
        return x509.CertificateBuilder(
            self.name, name, key, x509.random_serial_number(), until - timedelta(days=2), until
        )

    def server(
        self, directory: Path, *, host: str = "127.0.0.1", lasts: timedelta = timedelta(days=1)
    ) -> ssl.SSLContext:
        """What a server of that host speaks TLS with."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "engine")])
        names = x509.IPAddress(ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
        certificate = (
            self._about(subject, key.public_key(), lasts)
            .add_extension(x509.SubjectAlternativeName([names]), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        path = directory / "engine.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(path)
        return made


@pytest.fixture(scope="module")
def ours() -> Authority:
    return Authority("ours")


def trusting(url: str, **trust: object) -> RouteEntry:
    """A route to that engine, which is trusted so."""
    entry = route("smol", url)
    target = entry.targets[0]
    replicas = tuple(msgspec.structs.replace(replica, **trust) for replica in target.replicas)
    return msgspec.structs.replace(entry, targets=(msgspec.structs.replace(target, replicas=replicas),))


@pytest.mark.parametrize("stream", [False, True])
async def test_engine_with_our_own_ca_answers(start: Start, ours: Authority, tmp_path: Path, stream: bool) -> None:
    async with Engine(answer, tls=ours.server(tmp_path)) as engine:
        gateway = await start(trusting(engine.url, tls_ca=ours.pem))
        assert {(await gateway.chat(stream=stream)).status_code for _ in range(3)} == {200}
        assert engine.connections == 1
        assert engine.asked[0].headers["authorization"] == "Bearer engine-secret"


async def test_unverified_engine_answers(start: Start, ours: Authority, tmp_path: Path) -> None:
    tls = ours.server(tmp_path, host="elsewhere.test", lasts=timedelta(hours=-1))
    async with Engine(answer, tls=tls) as engine:
        gateway = await start(trusting(engine.url, tls_verify=False))
        assert (await gateway.chat()).status_code == 200


async def test_metrics_are_asked_for_over_tls_and_with_the_engines_key(
    start: Start, ours: Authority, tmp_path: Path
) -> None:
    async with Engine(answer, tls=ours.server(tmp_path)) as engine:
        await start(trusting(engine.url, tls_ca=ours.pem))
        await eventually(lambda: engine.polls)
    assert engine.polled[0].headers["authorization"] == "Bearer engine-secret"


@pytest.mark.parametrize(
    ("host", "hours", "known", "code", "why"),
    [
        ("127.0.0.1", -1, True, "tls_expired", "certificate has expired"),
        ("127.0.0.1", 72, True, "tls_expired", "certificate is not yet valid"),
        ("127.0.0.1", 24, False, "tls_untrusted", "unable to get local issuer certificate"),
        ("127.0.0.2", 24, True, "tls_name_mismatch", "IP address mismatch"),
        ("elsewhere.test", 24, True, "tls_name_mismatch", "IP address mismatch"),
    ],
)
async def test_wrong_certificate_is_told(
    start: Start, ours: Authority, tmp_path: Path, host: str, hours: int, known: bool, code: str, why: str
) -> None:
    tls = ours.server(tmp_path, host=host, lasts=timedelta(hours=hours))
    async with Engine(answer, tls=tls) as engine:
        gateway = await start(trusting(engine.url, tls_ca=ours.pem if known else Authority("others").pem))
        logged = len(gateway.log.read_text())
        response = await gateway.chat()
        assert (response.status_code, response.json()["error"]["code"]) == (502, code)
        assert not engine.asked
        assert why in gateway.log.read_text()[logged:]


async def test_machines_own_trust_does_not_include_us(start: Start, ours: Authority, tmp_path: Path) -> None:
    async with Engine(answer, tls=ours.server(tmp_path)) as engine:
        gateway = await start(route("smol", engine.url))
        assert (await gateway.chat()).json()["error"]["code"] == "tls_untrusted"


async def test_machines_own_trust_counts(start: Start, ours: Authority, tmp_path: Path) -> None:
    store = tmp_path / "store.pem"
    store.write_text(ours.pem)
    async with Engine(answer, tls=ours.server(tmp_path)) as engine:
        gateway = await start(route("smol", engine.url), SSL_CERT_FILE=str(store))
        assert (await gateway.chat()).status_code == 200


async def test_engine_that_speaks_no_tls_is_told(start: Start) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\nInvalid HTTP request received.")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        gateway = await start(route("smol", f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
        response = await gateway.chat()
    assert (response.status_code, response.json()["error"]["code"]) == (502, "tls_failed")


async def test_failed_handshake_is_another_replicas_turn(start: Start, ours: Authority, tmp_path: Path) -> None:
    expired = ours.server(tmp_path, lasts=timedelta(hours=-1))
    async with Engine(answer, tls=expired) as bad, Engine(answer) as good:
        gateway = await start(route("smol", bad.url, good.url))
        assert {(await gateway.chat()).status_code for _ in range(4)} == {200}


async def test_connection_made_under_other_trust_is_not_used(
    start: Start, ours: Authority, tmp_path: Path, publisher: Publisher
) -> None:
    """A connection that was made unverified is there still when verification is switched on."""
    async with Engine(answer, tls=ours.server(tmp_path)) as engine:
        gateway = await start(trusting(engine.url, tls_verify=False))
        assert (await gateway.chat()).status_code == 200
        publisher.routes(trusting(engine.url, tls_ca=Authority("others").pem))

        async def is_refused() -> bool:
            return (await gateway.chat()).status_code == 502

        await eventually(is_refused)


def test_ca_may_be_commented_in_any_language(ours: Authority) -> None:
    assert len(context(Trust(f"# 公司根证书\n{ours.pem}")).get_ca_certs()) == 1


def test_settings_are_made_once(ours: Authority) -> None:
    assert context(Trust(ours.pem)) is context(Trust(ours.pem))
    assert context(Trust(ours.pem)) is not context(Trust(ours.pem, verify=False))
    assert context(Trust()).verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize("pem", ["PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "\u4fe1"])
def test_ca_that_cannot_be_read_is_told(pem: str) -> None:
    with pytest.raises(UpstreamError) as raised:
        context(snapshot.Trust(pem))
    assert (raised.value.code, raised.value.retriable) == ("tls_bad_ca", True)
