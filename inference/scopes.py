"""What a key may be restricted to besides its routes: endpoints, and the networks it is used from."""

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from inference.auth import Principal
from inference.errors import AddressNotAllowed, EndpointNotAllowed

Network = IPv4Network | IPv6Network


def check_endpoint(principal: Principal, name: str) -> None:
    """Raises `EndpointNotAllowed`. `name` is one of `inference.contract.endpoints.NAMES`."""
    if principal.endpoints is not None and name not in principal.endpoints:
        raise EndpointNotAllowed(f"This API key may not call the endpoint {name!r}.")


def check_address(principal: Principal, address: str | None) -> None:
    """Raises `AddressNotAllowed`, also for a client whose address is not known."""
    if principal.cidrs is not None and not (address and _lies_in(address, principal.cidrs)):
        raise AddressNotAllowed(f"This API key may not be used from {address or 'an unknown address'}.")


@lru_cache(maxsize=16_384)
def _lies_in(address: str, cidrs: tuple[str, ...]) -> bool:
    found = ip_address(address)
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped  # a dual-stack socket shows IPv4 clients so
    return any(found in network for network in map(_network, cidrs) if network is not None)


def _network(cidr: str) -> Network | None:
    """None for what is no network: it lets nobody in."""
    try:
        return ip_network(cidr, strict=False)
    except ValueError:
        return None
