"""Certificates for servers behind TLS: an authority that is made for one test, and what it issues."""

import ssl
from datetime import UTC, datetime, timedelta
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey


class Authority:
    """A certificate authority."""

    def __init__(self, name: str = "test authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = (
            _builder(self._name, self._name, self._key, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @cached_property
    def pem(self) -> str:
        return self._certificate.public_bytes(Encoding.PEM).decode()

    def server_pem(self, *addresses: str) -> bytes:
        """Key and certificate of a server at these addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, addresses[0])])
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address)) for address in addresses])
        certificate = (
            _builder(subject, self._name, key, self._key)
            .add_extension(names, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return private + certificate.public_bytes(Encoding.PEM)

    def server_context(self, directory: Path, *addresses: str) -> ssl.SSLContext:
        """For a server at these addresses; its files lie in the directory."""
        file = directory / f"{addresses[0]}.pem"
        file.write_bytes(self.server_pem(*addresses))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def _builder(subject: x509.Name, issuer: x509.Name, key: Key, issued_by: Key) -> x509.CertificateBuilder:
    now, public = datetime.now(UTC), key.public_key()
    builder = x509.CertificateBuilder(
        issuer, subject, public, x509.random_serial_number(), now - timedelta(minutes=1), now + timedelta(days=1)
    )
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issued_by.public_key())
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False).add_extension(
        authority, critical=False
    )
