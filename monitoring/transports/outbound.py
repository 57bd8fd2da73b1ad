"""The one way out to addresses that people entered: no redirects, no proxy, seconds only, and never inside.

A name is looked up once, all its addresses are checked, and the connection goes to one of those that were checked: a
name that answers otherwise the second time gains nothing.
"""

import ipaddress
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlunsplit

import httpx
from django.conf import settings

from controlplane.alerting import addresses
from controlplane.errors import Invalid
from monitoring.transports.base import TransportError

SECONDS = 5.0
MOST_READ = 64 * 1024
BUSY = frozenset({408, 425, 429})


@dataclass(frozen=True)
class Response:
    """What came back, cut at `MOST_READ`."""

    status_code: int
    body: bytes
    retry_after: float | None = None


def post(kind: str, url: str, body: bytes, headers: Mapping[str, str], *, signed: str = "") -> Response:
    """Send it; `signed` is appended to the query. Raises `TransportError`, a permanent one for a forbidden address."""
    try:
        parts = addresses.check(kind, url)
    except Invalid as exc:
        raise TransportError(exc.message, permanent=True) from None
    host = str(parts.hostname)
    trusted = kind != addresses.ChannelKind.WEBHOOK or addresses.is_named(host.lower(), settings.WEBHOOK_HOSTS)
    if signed:
        parts = parts._replace(query=f"{parts.query}&{signed}")
    return _send(parts, _address(parts, trusted=trusted), body, headers)


def _address(parts: SplitResult, *, trusted: bool) -> str:
    """An address of the host. Raises `TransportError` if one of them is inside and the host is not `trusted`."""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise TransportError(f"the host was not found: {exc}") from None
    all_ = [str(info[4][0]).partition("%")[0] for info in found]
    if not trusted and not all(is_public(address) for address in all_):
        raise TransportError("the host leads into the own network, which is not allowed", permanent=True)
    return all_[0]


def is_public(address: str) -> bool:
    """Whether it is out there for all. An IPv4 address in the clothes of IPv6 is judged as what it is."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo[1] if parsed.teredo else None)
        if parsed in _NAT64:
            inner = ipaddress.IPv4Address(int(parsed) & 0xFFFF_FFFF)
        if inner is not None and not inner.is_global:
            return False
    return parsed.is_global and not parsed.is_multicast


_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def _send(parts: SplitResult, address: str, body: bytes, headers: Mapping[str, str]) -> Response:
    netloc = f"[{address}]" if ":" in address else address
    url = urlunsplit((parts.scheme, f"{netloc}:{parts.port}" if parts.port else netloc, parts.path, parts.query, ""))
    until = time.monotonic() + SECONDS
    extensions = {"sni_hostname": parts.hostname} if parts.scheme == "https" else {}
    try:
        with (
            httpx.Client(timeout=SECONDS, trust_env=False, follow_redirects=False, verify=_trust()) as client,
            client.stream(
                "POST", url, content=body, headers={**headers, "host": parts.netloc}, extensions=extensions
            ) as response,
        ):  # fmt: skip
            return Response(response.status_code, _read(response, until), _retry_after(response))
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as exc:
        uncertain = not isinstance(exc, httpx.ConnectError | httpx.ConnectTimeout | httpx.InvalidURL)
        raise TransportError(f"no answer: {str(exc) or type(exc).__name__}", uncertain=uncertain) from None


def _trust() -> ssl.SSLContext:
    """The machine's certificates; ``SSL_CERT_FILE`` adds a company's own."""
    return ssl.create_default_context()


def _read(response: httpx.Response, until: float) -> bytes:
    parts, size = [], 0
    for part in response.iter_raw(8192):
        parts.append(part)
        size += len(part)
        if size > MOST_READ or time.monotonic() > until:
            break
    return b"".join(parts)[:MOST_READ]


def _retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    return min(float(text), 3600.0) if text.isascii() and text.isdigit() else None
