"""TLS to external engines: their CA, kept as nothing but certificates, and what asking them takes."""

import ssl
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from django.utils.translation import gettext as _

from controlplane.errors import Invalid
from controlplane.models import Deployment

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
        context(kept)
    except (ValueError, ssl.SSLError):
        raise Invalid(_("These are no certificates in PEM (-----BEGIN CERTIFICATE-----)."), field=FIELD) from None
    return kept


@lru_cache(maxsize=64)
def context(ca: str = "", *, verify: bool = True) -> ssl.SSLContext:
    """For asking an engine, trusting whom the gateway trusts. Raises `ssl.SSLError` for what is no certificate."""
    made = ssl.create_default_context(cadata=ca or None)
    if not verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made


def tls_facts(deployment: Deployment) -> dict[str, object]:
    """What the register keeps of an engine's TLS; nothing for one without."""
    if not deployment.external_url.startswith("https:"):
        return {}
    return {"tls_ca": fingerprints(deployment.tls_ca), "tls_verify": deployment.tls_verify}


def fingerprints(pem: str) -> list[str]:
    """SHA-256 of each certificate, which is how people and the register name them."""
    if not pem:
        return []
    return [
        certificate.fingerprint(hashes.SHA256()).hex(":").upper()
        for certificate in x509.load_pem_x509_certificates(pem.encode())
    ]
