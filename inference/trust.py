"""TLS to engines: what is checked, and what was wrong when a handshake failed."""

import ssl
from functools import lru_cache

from inference.ejection import Fault
from inference.errors import UpstreamError
from inference.snapshot import Trust

_EXPIRED, _NOT_YET_VALID, _OTHER_HOST, _OTHER_ADDRESS = 10, 9, 62, 64
"""https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/"""


@lru_cache(maxsize=256)
def context(trust: Trust) -> ssl.SSLContext:
    """Made once for all engines that are trusted alike. Raises `UpstreamError` for a CA that cannot be read."""
    pem = trust.ca.encode("ascii", "replace").decode()  # comments between certificates may be in any language
    try:
        made = ssl.create_default_context(cadata=pem or None)
    except (ssl.SSLError, ValueError) as exc:
        raise UpstreamError(
            "The engine's CA is no certificate in PEM.", retriable=True, code="tls_bad_ca", fault=Fault.TLS
        ) from exc
    if not trust.verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made


def failed_handshake(exc: ssl.SSLError) -> UpstreamError:
    """What is told of it, to client and operator."""
    code, message = "tls_failed", "No TLS connection to the engine could be made."
    if isinstance(exc, ssl.SSLCertVerificationError):
        if exc.verify_code in {_EXPIRED, _NOT_YET_VALID}:
            code, message = "tls_expired", "The engine's certificate is not valid now."
        elif exc.verify_code in {_OTHER_HOST, _OTHER_ADDRESS}:
            code, message = "tls_name_mismatch", "The engine's certificate is for another name."
        else:
            code, message = "tls_untrusted", "The engine's certificate comes from nobody who is trusted."
    return UpstreamError(message, retriable=True, code=code, fault=Fault.TLS)
