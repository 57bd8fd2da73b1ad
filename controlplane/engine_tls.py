"""The certificates that an external engine is checked against: parsed, and kept as nothing but certificates."""

import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from django.utils.translation import gettext as _

from controlplane.errors import Invalid

LONGEST = 100_000
"""characters"""
FIELD = "tls_ca"


def certificates(pem: str) -> str:
    """The certificates in a PEM text, without whatever else stands there; empty for an empty text. Raises `Invalid`."""
    if not pem.strip():
        return ""
    if "PRIVATE KEY" in pem:
        raise Invalid(_("There is a private key in it. Give the certificates only."), field=FIELD)
    if len(pem) > LONGEST:
        raise Invalid(_("At most %(number)s characters.") % {"number": LONGEST}, field=FIELD)
    try:
        found = x509.load_pem_x509_certificates(pem.encode())
        kept = "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in found)
        ssl.create_default_context(cadata=kept)  # what the gateway will do with it
    except (ValueError, ssl.SSLError):
        raise Invalid(_("These are no certificates in PEM (-----BEGIN CERTIFICATE-----)."), field=FIELD) from None
    return kept


def fingerprints(pem: str) -> list[str]:
    """SHA-256 of each certificate, which is how people and the register name them."""
    if not pem:
        return []
    return [
        certificate.fingerprint(hashes.SHA256()).hex(":").upper()
        for certificate in x509.load_pem_x509_certificates(pem.encode())
    ]
